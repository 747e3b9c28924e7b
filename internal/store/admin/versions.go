package admin

import (
	"context"
	"errors"
	"time"

	"gatepost/internal/versions"
)

// topicPolicy is what watchers of versions watch.
const topicPolicy = "policy"

// versionsKept is how many versions stay: at most as many megabytes.
const versionsKept = 1000

// draftsKept is how many drafts stay, and draftTime for how long one does that nobody touches.
const (
	draftsKept = 200
	draftTime  = 90 * 24 * time.Hour
)

// Versions are the versions of the policy in control data.
type Versions struct{ db *DB }

// NewVersions returns those of a database.
func NewVersions(db *DB) *Versions { return &Versions{db} }

// Watch tells of changes, on all nodes.
func (v *Versions) Watch(ctx context.Context) <-chan struct{} { return v.db.Watch(ctx, topicPolicy) }

// Head returns which version is in force.
func (v *Versions) Head(ctx context.Context) (h versions.Head, err error) {
	err = v.db.Read(ctx, func(tx *Tx) error { h, err = head(tx); return err })
	return h, err
}

func head(tx *Tx) (h versions.Head, err error) {
	var confirm int64
	err = tx.One("SELECT number, epoch, confirm, back FROM policy_head WHERE one = 1", nil, &h.Number, &h.Epoch, &confirm, &h.Back)
	if errors.Is(err, ErrNone) {
		return versions.Head{}, nil
	}
	h.Confirm = Time(confirm)
	return h, err
}

// Change changes the head, and adds versions, all or nothing.
func (v *Versions) Change(ctx context.Context, c versions.Change) (next versions.Head, err error) {
	err = v.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock(topicPolicy); err != nil {
			return err
		}
		h, err := head(tx)
		if err != nil {
			return err
		}
		if h.Number != c.Expect.Number || h.Epoch != c.Expect.Epoch {
			return versions.ErrMoved
		}
		next = versions.Head{Number: h.Number, Epoch: h.Epoch + 1, Confirm: c.Confirm, Back: c.Back}
		for i := range c.New {
			n := &c.New[i]
			if n.Number <= next.Number {
				return errors.New("control data: numbers of versions do not ascend")
			}
			next.Number = n.Number
			if _, err := tx.Exec("INSERT INTO policy_version (number, time, author, comment, kind, again, undid, digest, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
				n.Number, Micros(n.Time), n.Author, n.Comment, string(n.Kind), n.Of, n.Undid, n.Digest, notNil(n.Text)); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("DELETE FROM policy_version WHERE number <= ? AND number <> ?", next.Number-versionsKept, next.Back); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM policy_head"); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO policy_head (one, number, epoch, confirm, back) VALUES (1, ?, ?, ?, ?)", next.Number, next.Epoch, Micros(next.Confirm), next.Back); err != nil {
			return err
		}
		return tx.Notify(topicPolicy)
	})
	if err != nil {
		return versions.Head{}, err
	}
	next.Confirm = Time(Micros(next.Confirm))
	return next, nil
}

// notNil makes of no text an empty one.
func notNil(text []byte) []byte {
	if text == nil {
		return []byte{}
	}
	return text
}

const versionColumns = "number, time, author, comment, kind, again, undid, digest"

func scanVersion(scan func(...any) error, more ...any) (n versions.Version, err error) {
	var at int64
	err = scan(append([]any{&n.Number, &at, &n.Author, &n.Comment, &n.Kind, &n.Of, &n.Undid, &n.Digest}, more...)...)
	n.Time = Time(at)
	return n, err
}

// Version returns one with its text.
func (v *Versions) Version(ctx context.Context, number int64) (out *versions.Version, err error) {
	err = v.db.Read(ctx, func(tx *Tx) error {
		var text []byte
		n, err := scanVersion(func(into ...any) error {
			return tx.One("SELECT "+versionColumns+", text FROM policy_version WHERE number = ?", []any{number}, into...)
		}, &text)
		n.Text = text
		out = &n
		return err
	})
	if errors.Is(err, ErrNone) {
		err = versions.ErrNone
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// List returns versions, the newest first.
func (v *Versions) List(ctx context.Context, before int64, limit int) (out []versions.Version, err error) {
	if before <= 0 {
		before = 1 << 62
	}
	err = v.db.Read(ctx, func(tx *Tx) error {
		return tx.Each("SELECT "+versionColumns+" FROM policy_version WHERE number < ? ORDER BY number DESC LIMIT ?", []any{before, limit}, func(scan func(...any) error) error {
			n, err := scanVersion(scan)
			out = append(out, n)
			return err
		})
	})
	return out, err
}

// Draft returns somebody's draft.
func (v *Versions) Draft(ctx context.Context, owner string) (*versions.Draft, error) {
	d := versions.Draft{Owner: owner}
	var at int64
	err := v.db.Read(ctx, func(tx *Tx) error {
		return tx.One("SELECT base, seq, time, text FROM policy_draft WHERE owner = ?", []any{owner}, &d.Base, &d.Seq, &at, &d.Text)
	})
	if errors.Is(err, ErrNone) {
		return nil, versions.ErrNone
	}
	if err != nil {
		return nil, err
	}
	d.Time = Time(at)
	return &d, nil
}

// SaveDraft keeps a draft. The oldest of too many go.
func (v *Versions) SaveDraft(ctx context.Context, d *versions.Draft) (seq int64, err error) {
	err = v.db.Write(ctx, func(tx *Tx) error {
		if err := tx.Lock("policy draft"); err != nil {
			return err
		}
		var there int64
		if err := tx.One("SELECT seq FROM policy_draft WHERE owner = ?", []any{d.Owner}, &there); err != nil && !errors.Is(err, ErrNone) {
			return err
		}
		if there != d.Seq {
			return versions.ErrMoved
		}
		now := time.Now()
		// A draft that begins anew never has a number that somebody has seen of the one before.
		seq = max(there+1, now.UnixMicro())
		if _, err := tx.Exec("DELETE FROM policy_draft WHERE owner = ? OR time < ?", d.Owner, Micros(now.Add(-draftTime))); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM policy_draft WHERE owner IN (SELECT owner FROM policy_draft ORDER BY time DESC LIMIT 1000 OFFSET ?)", draftsKept-1); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO policy_draft (owner, base, seq, time, text) VALUES (?, ?, ?, ?, ?)", d.Owner, d.Base, seq, Micros(now), notNil(d.Text))
		return err
	})
	return seq, err
}

// DropDraft forgets a draft.
func (v *Versions) DropDraft(ctx context.Context, owner string) error {
	return v.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM policy_draft WHERE owner = ?", owner)
		return err
	})
}
