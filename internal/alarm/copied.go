package alarm

import (
	"context"
	"errors"
	"sync"
)

// Copied is a Store that keeps alarms at hand, and a copy where other nodes see them. What is at hand is the truth: it is there
// at the start, and when the other is away. A copy that could not be written is made whole when it can be.
type Copied struct {
	AtHand Store
	// Copy returns the other store; nil while there is none.
	Copy func() Store

	mu    sync.Mutex // held while the copy is written
	whole bool       // it has what is at hand
}

// Load is that of Store: of what is at hand.
func (c *Copied) Load(ctx context.Context) ([]Alarm, error) { return c.AtHand.Load(ctx) }

// Save is that of Store. That the copy cannot be written is no error.
func (c *Copied) Save(ctx context.Context, list []Alarm) error {
	return c.change(ctx, func(s Store) error { return s.Save(ctx, list) })
}

// Remove is that of Store, likewise.
func (c *Copied) Remove(ctx context.Context, ids []string) error {
	return c.change(ctx, func(s Store) error { return s.Remove(ctx, ids) })
}

func (c *Copied) change(ctx context.Context, do func(Store) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := do(c.AtHand); err != nil {
		return err
	}
	copied := c.Copy()
	if copied == nil {
		c.whole = false
		return nil
	}
	if c.whole {
		c.whole = do(copied) == nil
		return nil
	}
	c.whole = c.all(ctx, copied) == nil
	return nil
}

// all makes the copy as what is at hand.
func (c *Copied) all(ctx context.Context, copied Store) error {
	have, err := c.AtHand.Load(ctx)
	if err != nil {
		return err
	}
	there, err := copied.Load(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for i := range have {
		known[have[i].ID] = true
	}
	var gone []string
	for i := range there {
		if !known[there[i].ID] {
			gone = append(gone, there[i].ID)
		}
	}
	return errors.Join(copied.Save(ctx, have), copied.Remove(ctx, gone))
}
