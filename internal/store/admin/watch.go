package admin

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// channel is the channel of PostgreSQL on which nodes tell each other what changed.
const channel = "gatepost"

// pollEvery is how often a watcher looks whether told or not: LISTEN does not survive every proxy, and a file tells nobody in
// another process.
const pollEvery = 15 * time.Second

// How long it takes until listening is tried again.
const (
	listenAgain  = time.Second
	listenLonger = 15 * time.Second
)

// Watch returns a channel that gets a value whenever something of the topic may have changed, here or on another node: at
// once where the store can tell, every 15 s in any case. Several changes may be told by one value. It ends with ctx, and
// nothing has to read it.
func (db *DB) Watch(ctx context.Context, topic string) <-chan struct{} {
	c := make(chan struct{}, 1)
	db.mu.Lock()
	if db.watch[topic] == nil {
		db.watch[topic] = map[chan struct{}]bool{}
	}
	db.watch[topic][c] = true
	listen := db.d.postgres && !db.listens && db.life.Err() == nil
	db.listens = db.listens || listen
	db.mu.Unlock()
	if listen {
		db.running.Go(db.listen)
	}
	db.running.Go(func() {
		t := time.NewTicker(pollEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
			case <-db.life.Done():
			case <-t.C:
				wake(c)
				continue
			}
			db.mu.Lock()
			delete(db.watch[topic], c)
			db.mu.Unlock()
			return
		}
	})
	return c
}

// wake puts a value into a channel that has none.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// signal wakes who watches a topic; "" is all of them.
func (db *DB) signal(topic string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for name, channels := range db.watch {
		if topic == "" || name == topic {
			for c := range channels {
				wake(c)
			}
		}
	}
}

// listen passes on what other nodes tell, on a connection of its own, as long as the data is open.
func (db *DB) listen() {
	pause := listenAgain
	for db.life.Err() == nil {
		heard := db.listenOnce()
		if heard {
			pause = listenAgain
		}
		select {
		case <-db.life.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, listenLonger)
	}
}

// listenOnce listens until the connection breaks; true where it had begun to.
func (db *DB) listenOnce() (began bool) {
	ctx, cancel := context.WithTimeout(db.life, db.o.Time)
	conn, err := db.sql.Conn(ctx)
	cancel()
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.Raw(func(raw any) error {
		c := raw.(*stdlib.Conn).Conn()
		ctx, cancel := context.WithTimeout(db.life, db.o.Time)
		_, err := c.Exec(ctx, "LISTEN "+channel)
		cancel()
		for err == nil {
			if !began {
				began = true
				db.signal("") // what was told before nobody heard
			}
			n, e := c.WaitForNotification(db.life)
			if err = e; err == nil {
				db.signal(n.Payload)
			}
		}
		// The connection listens, or is broken: nobody else gets it.
		return errors.Join(err, c.Close(context.WithoutCancel(db.life)))
	})
	return began
}
