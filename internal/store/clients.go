package store

import (
	"context"
	"database/sql"
	"log/slog"
	"net/netip"
	"time"

	"gatepost/gateway"
)

// Clients keeps what is remembered of clients over a restart (memory.Store), in one SQLite file. It is used by one
// goroutine at a time.
type Clients struct{ db *sql.DB }

const clientsSchema = `CREATE TABLE IF NOT EXISTS client (
  net      TEXT PRIMARY KEY, -- 192.0.2.1/32, 2001:db8::/64
  pregreet INTEGER NOT NULL, -- until when it need not wait for the banner again, Unix seconds; 0: it must
  protocol INTEGER NOT NULL, -- until when it passed the tests inside a session
  bad      INTEGER NOT NULL  -- until when it failed a test
) WITHOUT ROWID`

// OpenClients opens the file, making it when it is not there. One that is damaged is set aside, with a line in the log,
// and an empty one takes its place: clients are tested again, and that is all.
func OpenClients(ctx context.Context, path string, log *slog.Logger) (*Clients, error) {
	db, err := openSmall(ctx, path, small{what: "memory of clients", lost: "every client is tested again", schema: clientsSchema,
		probe: "SELECT sum(pregreet + protocol + bad + length(net)) FROM client"}, log)
	if err != nil {
		return nil, err
	}
	return &Clients{db}, nil
}

// Load implements memory.Store.
func (c *Clients) Load(ctx context.Context, yield func(client netip.Prefix, r gateway.Remembered)) error {
	rows, err := c.db.QueryContext(ctx, "SELECT net, pregreet, protocol, bad FROM client")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var pregreet, protocol, bad int64
		if err := rows.Scan(&name, &pregreet, &protocol, &bad); err != nil {
			return err
		}
		if p, err := netip.ParsePrefix(name); err == nil {
			yield(p, gateway.Remembered{Pregreet: unixTime(pregreet), Protocol: unixTime(protocol), Bad: unixTime(bad)})
		}
	}
	return rows.Err()
}

// Save implements memory.Store.
func (c *Clients) Save(ctx context.Context, clients map[netip.Prefix]gateway.Remembered) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	put, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO client (net, pregreet, protocol, bad) VALUES (?,?,?,?)")
	if err != nil {
		return err
	}
	defer put.Close()
	for p, r := range clients {
		if _, err := put.ExecContext(ctx, p.String(), unixSeconds(r.Pregreet), unixSeconds(r.Protocol), unixSeconds(r.Bad)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Forget implements memory.Store.
func (c *Clients) Forget(ctx context.Context, after time.Time) error {
	_, err := c.db.ExecContext(ctx, "DELETE FROM client WHERE max(pregreet, protocol, bad) <= ?", after.Unix())
	return err
}

// Close ends the use of the file.
func (c *Clients) Close() error { return c.db.Close() }

func unixTime(s int64) time.Time {
	if s <= 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

func unixSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
