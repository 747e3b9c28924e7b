package admin

import (
	"context"
	"errors"

	"gatepost/internal/ownlist"
)

const topicOwnList = "ownlist"

// OwnLists keeps recipients' own lists (ownlist.Store).
type OwnLists struct{ db *DB }

var _ ownlist.Store = OwnLists{}

// OwnLists are those of these control data.
func (db *DB) OwnLists() OwnLists { return OwnLists{db} }

// Watch implements ownlist.Store.
func (o OwnLists) Watch(ctx context.Context) <-chan struct{} { return o.db.Watch(ctx, topicOwnList) }

// Revision implements ownlist.Store.
func (o OwnLists) Revision(ctx context.Context) (n int64, err error) {
	err = o.db.Read(ctx, func(tx *Tx) error { n, err = ownRevision(tx); return err })
	return n, err
}

func ownRevision(tx *Tx) (n int64, err error) {
	if err = tx.One("SELECT number FROM own_list_revision WHERE one = 1", nil, &n); errors.Is(err, ErrNone) {
		return 0, nil
	}
	return n, err
}

// All implements ownlist.Store.
func (o OwnLists) All(ctx context.Context) (all []ownlist.Entry, rev int64, err error) {
	err = o.db.Read(ctx, func(tx *Tx) error {
		if rev, err = ownRevision(tx); err != nil {
			return err
		}
		all, err = ownEntries(tx, "")
		return err
	})
	return all, rev, err
}

// Of implements ownlist.Store.
func (o OwnLists) Of(ctx context.Context, rcpt string) (all []ownlist.Entry, err error) {
	err = o.db.Read(ctx, func(tx *Tx) error { all, err = ownEntries(tx, "WHERE rcpt = ? ", rcpt); return err })
	return all, err
}

func ownEntries(tx *Tx, where string, args ...any) (all []ownlist.Entry, err error) {
	err = tx.Each("SELECT rcpt, sender, kind, time FROM own_list "+where+"ORDER BY rcpt, kind, sender", args, func(scan func(...any) error) error {
		var e ownlist.Entry
		var at int64
		if err := scan(&e.Rcpt, &e.Sender, &e.Kind, &at); err != nil {
			return err
		}
		e.Time = Time(at)
		all = append(all, e)
		return nil
	})
	return all, err
}

// Put implements ownlist.Store.
func (o OwnLists) Put(ctx context.Context, e ownlist.Entry) error {
	return o.change(ctx, e.Rcpt, func(tx *Tx) (int64, error) {
		if _, err := tx.Exec("DELETE FROM own_list WHERE rcpt = ? AND sender = ?", e.Rcpt, e.Sender); err != nil {
			return 0, err
		}
		var n int
		if err := tx.One("SELECT count(*) FROM own_list WHERE rcpt = ? AND kind = ?", []any{e.Rcpt, string(e.Kind)}, &n); err != nil {
			return 0, err
		}
		if n >= ownlist.Most {
			return 0, ownlist.ErrFull
		}
		return tx.Exec("INSERT INTO own_list (rcpt, sender, kind, time) VALUES (?, ?, ?, ?)", e.Rcpt, e.Sender, string(e.Kind), Micros(e.Time))
	})
}

// Remove implements ownlist.Store.
func (o OwnLists) Remove(ctx context.Context, rcpt string, kind ownlist.Kind, sender string) error {
	return o.change(ctx, rcpt, func(tx *Tx) (int64, error) {
		return tx.Exec("DELETE FROM own_list WHERE rcpt = ? AND kind = ? AND sender = ?", rcpt, string(kind), sender)
	})
}

// change changes rows of a recipient, and the revision where it did.
func (o OwnLists) change(ctx context.Context, rcpt string, do func(tx *Tx) (int64, error)) error {
	return o.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(topicOwnList); err != nil {
			return err
		}
		n, err := do(tx)
		if err != nil || n == 0 {
			return err
		}
		if _, err := tx.Exec(ownGone+" AND rcpt = ?", ownList, rcpt); err != nil { // what was counted of an entry goes with it
			return err
		}
		if n, err = tx.Exec("UPDATE own_list_revision SET number = number + 1 WHERE one = 1"); err == nil && n == 0 {
			_, err = tx.Exec("INSERT INTO own_list_revision (one, number) VALUES (1, 1)")
		}
		if err != nil {
			return err
		}
		return tx.Notify(topicOwnList)
	})
}
