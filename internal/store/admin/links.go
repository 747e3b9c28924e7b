package admin

import (
	"context"
	"errors"
	"time"
)

// Bounds of links.
const (
	MostLinked = 10  // further addresses of a user
	MostOwners = 100 // users who see the same address
)

// ErrLinksFull means that a user has as many further addresses as he may, or an address as many users who see it.
var ErrLinksFull = errors.New("control data: no more links")

// Link lets a user of the portal see a further address as his own. Addresses are local@domain in lower case.
type Link struct {
	ID      int64     `json:"id"`
	Owner   string    `json:"owner"`   // who logs in
	Address string    `json:"address"` // that he sees besides
	Time    time.Time `json:"time"`    // when it was proved
}

// Links keeps the linked addresses of the portal's users.
type Links struct{ db *DB }

// Links are those of these control data.
func (db *DB) Links() Links { return Links{db} }

const topicLinks = "links"

func linksWhere(tx *Tx, where string, args ...any) (all []Link, err error) {
	err = tx.Each("SELECT id, owner, address, time FROM portal_link "+where, args, func(scan func(...any) error) error {
		var x Link
		var at int64
		if err := scan(&x.ID, &x.Owner, &x.Address, &at); err != nil {
			return err
		}
		x.Time = Time(at)
		all = append(all, x)
		return nil
	})
	return all, err
}

// About lists the links in which an address stands on either side, sorted.
func (l Links) About(ctx context.Context, address string) (all []Link, err error) {
	err = l.db.Read(ctx, func(tx *Tx) error {
		all, err = linksWhere(tx, "WHERE owner = ? OR address = ? ORDER BY owner, address", address, address)
		return err
	})
	return all, err
}

// List returns the newest links below an ID (0: from the start), of one address on either side or of all ("").
func (l Links) List(ctx context.Context, address string, below int64, most int) (all []Link, err error) {
	where, args := "WHERE (? = 0 OR id < ?) ", []any{below, below}
	if address != "" {
		where, args = where+"AND (owner = ? OR address = ?) ", append(args, address, address)
	}
	err = l.db.Read(ctx, func(tx *Tx) error {
		all, err = linksWhere(tx, where+"ORDER BY id DESC LIMIT ?", append(args, most)...)
		return err
	})
	return all, err
}

// One returns a link; ErrNone where there is none.
func (l Links) One(ctx context.Context, id int64) (x Link, err error) {
	err = l.db.Read(ctx, func(tx *Tx) error {
		all, err := linksWhere(tx, "WHERE id = ?", id)
		if err == nil && len(all) == 0 {
			err = ErrNone
		}
		if err == nil {
			x = all[0]
		}
		return err
	})
	return x, err
}

// Put adds a link, and reports whether it is new; ErrLinksFull where there are too many.
func (l Links) Put(ctx context.Context, owner, address string, now time.Time) (fresh bool, err error) {
	err = l.db.Write(ctx, func(tx *Tx) error {
		fresh = false
		if err := tx.Lock(topicLinks); err != nil {
			return err
		}
		var same, of, to int
		if err := tx.One("SELECT count(*) FROM portal_link WHERE owner = ? AND address = ?", []any{owner, address}, &same); err != nil || same > 0 {
			return err
		}
		if err := tx.One("SELECT count(*) FROM portal_link WHERE owner = ?", []any{owner}, &of); err != nil {
			return err
		}
		if err := tx.One("SELECT count(*) FROM portal_link WHERE address = ?", []any{address}, &to); err != nil {
			return err
		}
		if of >= MostLinked || to >= MostOwners {
			return ErrLinksFull
		}
		_, err := tx.Exec("INSERT INTO portal_link (owner, address, time) VALUES (?, ?, ?)", owner, address, Micros(now))
		fresh = err == nil
		return err
	})
	return fresh, err
}

// Remove takes a link away, and reports whether there was one.
func (l Links) Remove(ctx context.Context, owner, address string) (was bool, err error) {
	err = l.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec("DELETE FROM portal_link WHERE owner = ? AND address = ?", owner, address)
		was = n > 0
		return err
	})
	return was, err
}

// Forget removes all links in which an address stands, and returns how many.
func (l Links) Forget(ctx context.Context, address string) (n int64, err error) {
	err = l.db.Write(ctx, func(tx *Tx) error {
		n, err = tx.Exec("DELETE FROM portal_link WHERE owner = ? OR address = ?", address, address)
		return err
	})
	return n, err
}
