package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// page is about how many keys one step of a walk looks at.
const page = 500

// getter reads the numbers of keys of one node; 0 for what is gone or none.
type getter func(ctx context.Context, keys []string) ([]int64, error)

// walk calls step with all keys that match, some at a time, until it returns false. A key may come twice. It is for a
// person at a console: the mail path never walks.
func (c *Client) walk(ctx context.Context, match string, step func(keys []string, get getter) (bool, error)) error {
	nodes, err := c.nodes(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		get := func(ctx context.Context, keys []string) ([]int64, error) { return c.numbers(ctx, node, keys) }
		for cursor := uint64(0); ; {
			var keys []string
			err := c.do(ctx, func(ctx context.Context) (err error) {
				keys, cursor, err = node.Scan(ctx, cursor, match, page).Result()
				return err
			})
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				if on, err := step(keys, get); err != nil || !on {
					return err
				}
			}
			if cursor == 0 {
				break
			}
		}
	}
	return nil
}

// nodes are those that hold keys: the masters of a Cluster, else the server.
func (c *Client) nodes(ctx context.Context) ([]goredis.Cmdable, error) {
	cluster, ok := c.r.(*goredis.ClusterClient)
	if !ok {
		return []goredis.Cmdable{c.r}, nil
	}
	found := make(chan goredis.Cmdable)
	failed := make(chan error, 1)
	go func() {
		failed <- c.do(ctx, func(ctx context.Context) error {
			return cluster.ForEachMaster(ctx, func(_ context.Context, node *goredis.Client) error {
				found <- node
				return nil
			})
		})
		close(found)
	}()
	var nodes []goredis.Cmdable
	for node := range found {
		nodes = append(nodes, node)
	}
	return nodes, <-failed
}

// numbers reads keys, in one pipeline since those of a Cluster's node lie in different slots.
func (c *Client) numbers(ctx context.Context, node goredis.Cmdable, keys []string) ([]int64, error) {
	numbers := make([]int64, len(keys))
	err := c.do(ctx, func(ctx context.Context) error {
		p := node.Pipeline()
		got := make([]*goredis.StringCmd, len(keys))
		for i, k := range keys {
			got[i] = p.Get(ctx, k)
		}
		if _, err := p.Exec(ctx); err != nil && !errors.Is(err, goredis.Nil) && classify(err) != Odd {
			return err
		}
		for i := range got {
			numbers[i], _ = got[i].Int64()
		}
		return nil
	})
	return numbers, err
}

// remove deletes keys, each by a command of its own since they may lie in different slots, and returns how many there were.
func (c *Client) remove(ctx context.Context, keys ...string) (int, error) {
	total := 0
	err := c.do(ctx, func(ctx context.Context) error {
		p := c.r.Pipeline()
		gone := make([]*goredis.IntCmd, len(keys))
		for i, k := range keys {
			gone[i] = p.Del(ctx, k)
		}
		_, err := p.Exec(ctx)
		for _, g := range gone {
			total += int(g.Val())
		}
		return err
	})
	return total, err
}
