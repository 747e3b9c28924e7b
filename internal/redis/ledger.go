package redis

import (
	"context"
	"encoding/base64"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"gatepost/gateway/ledger"
)

// Client is also what nodes know together of deliveries: one key for each recipient of a message, all keys of a message
// under one tag, so that a Cluster has them in one place. The names come hashed already. The value is the rest of the names,
// which only who has the secret can know: whoever can write into Redis, or answers in its place, can make a node forget a
// delivery, and never make it say 250 to mail that nobody has.

// ledgerOctets is how much of a name stands in a key, as of all others.
const ledgerOctets = 12

// ledgerProof is the value of the key of one recipient of a message.
func ledgerProof(message, rcpt ledger.Key) string {
	return base64.RawURLEncoding.EncodeToString(append(message[ledgerOctets:], rcpt[ledgerOctets:]...))
}

// ledgerKey is the key of one recipient of a message.
func (c *Client) ledgerKey(message, rcpt ledger.Key) string {
	b := make([]byte, 0, 64)
	b = append(append(b, c.prefix...), "d:{"...)
	b = base64.RawURLEncoding.AppendEncode(b, message[:ledgerOctets])
	b = append(b, '}')
	return string(base64.RawURLEncoding.AppendEncode(b, rcpt[:ledgerOctets]))
}

// Delivered says of each recipient of a message whether a node delivered to it, in one round trip.
func (c *Client) Delivered(ctx context.Context, message ledger.Key, rcpts []ledger.Key) ([]bool, error) {
	keys := make([]string, len(rcpts))
	for i := range rcpts {
		keys[i] = c.ledgerKey(message, rcpts[i])
	}
	out := make([]bool, len(rcpts))
	err := c.do(ctx, func(ctx context.Context) error {
		values, err := c.r.MGet(ctx, keys...).Result()
		if err == nil && len(values) != len(keys) {
			err = errAnswer
		}
		if err != nil {
			return err
		}
		for i, v := range values {
			said, _ := v.(string)
			out[i] = said == ledgerProof(message, rcpts[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Keep remembers deliveries or forgets them, all in one round trip.
func (c *Client) Keep(ctx context.Context, all []ledger.Entry) error {
	return c.do(ctx, func(ctx context.Context) error {
		_, err := c.r.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i := range all {
				for _, r := range all[i].Rcpts {
					key := c.ledgerKey(all[i].Message, r)
					if all[i].Holds <= 0 {
						p.Del(ctx, key)
						continue
					}
					p.Set(ctx, key, ledgerProof(all[i].Message, r), all[i].Holds.Truncate(time.Millisecond))
				}
			}
			return nil
		})
		return err
	})
}
