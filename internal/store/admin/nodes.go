package admin

import (
	"context"
	"time"
)

// Nodes keeps how nodes are that share these control data.
type Nodes struct{ db *DB }

// Nodes are those of these control data.
func (db *DB) Nodes() Nodes { return Nodes{db} }

// Node is what a node said of itself.
type Node struct {
	Name string
	Body string        // JSON, of whatever version the node is
	Age  time.Duration // by the clock of the store
}

// mostNodes bounds how many are listed.
const mostNodes = 1000

// Beat says that a node is there, and how. It returns by how much this machine's clock is ahead of the store's, to half the time
// that the question took; 0 where the store is a file of this machine.
func (n Nodes) Beat(ctx context.Context, name, body string) (ahead time.Duration, err error) {
	err = n.db.Write(ctx, func(tx *Tx) error {
		asked := time.Now()
		now, err := tx.now()
		if err != nil {
			return err
		}
		if n.db.Shared() {
			middle := asked.Add(time.Since(asked) / 2)
			ahead = middle.Sub(Time(now))
		}
		_, err = tx.Exec("INSERT INTO node (name, beat, body) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET beat = excluded.beat, body = excluded.body", name, now, body)
		return err
	})
	return ahead, err
}

// now is the time by the clock of the store.
func (t *Tx) now() (micros int64, err error) {
	if !t.d.postgres {
		return Micros(time.Now()), nil
	}
	err = t.One("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", nil, &micros)
	return micros, err
}

// List returns all nodes by name.
func (n Nodes) List(ctx context.Context) (out []Node, err error) {
	err = n.db.Read(ctx, func(tx *Tx) error {
		out = nil
		now, err := tx.now()
		if err != nil {
			return err
		}
		return tx.Each("SELECT name, body, beat FROM node ORDER BY name LIMIT ?", []any{mostNodes}, func(scan func(...any) error) error {
			var x Node
			var beat int64
			if err := scan(&x.Name, &x.Body, &beat); err != nil {
				return err
			}
			x.Age = max(0, time.Duration(now-beat)*time.Microsecond)
			out = append(out, x)
			return nil
		})
	})
	return out, err
}

// Remove takes a node away that is gone for good, with its alarms and what it counted of lists; ErrNone where there is none, or
// where it was not silent for so long.
func (n Nodes) Remove(ctx context.Context, name string, silent time.Duration) error {
	return n.db.Write(ctx, func(tx *Tx) error {
		now, err := tx.now()
		if err != nil {
			return err
		}
		gone, err := tx.Exec("DELETE FROM node WHERE name = ? AND beat < ?", name, now-silent.Microseconds())
		if err == nil && gone == 0 {
			return ErrNone
		}
		for _, table := range [...]string{"alarm", "list_entry"} {
			if err == nil {
				_, err = tx.Exec("DELETE FROM "+table+" WHERE node = ?", name)
			}
		}
		return err
	})
}
