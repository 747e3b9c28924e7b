package quarantine

import (
	"context"
	"errors"
	"maps"
	"time"
)

// Orphaned is how long a message that nobody sees waits: longer than the answer of a next hop is listened for
// (gateway.Listen). Then it is shown, where the ledger remembers that the rest of it was delivered, or removed: its sender
// never got a 250, and will come back.
const Orphaned = 15 * time.Minute

const (
	tendEvery    = time.Minute
	expireAtOnce = 500
)

// Run tends the vault until ctx is done: it tells the index what that does not know, settles what a crash left, and erases
// what was kept for long enough.
func (v *Vault) Run(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		v.Tend(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Tend does once what Run does all the time.
func (v *Vault) Tend(ctx context.Context) {
	v.reindex(ctx)
	v.settle(ctx, time.Now())
	v.expire(ctx, time.Now())
	t := v.tuned()
	if most := orElse(t.MaxSize, 10<<30); v.octets.Load() > most {
		v.evict(ctx, most)
	}
}

// settle ends what nobody sees and nobody holds.
func (v *Vault) settle(ctx context.Context, now time.Time) {
	v.mu.Lock()
	all := maps.Clone(v.pending)
	v.mu.Unlock()
	for id, e := range all {
		v.mu.Lock()
		wait := e.holders > 0
		v.mu.Unlock()
		if wait || ctx.Err() != nil || now.Sub(id.Time()) < Orphaned {
			continue
		}
		if v.delivered(e.message, e.keys) {
			if err := v.show(e); err != nil {
				v.log.Error("quarantine: a message whose rest was delivered cannot be shown", "id", id.String(), "error", err)
			}
			continue
		}
		v.garbage(e)
	}
}

// delivered reports whether the ledger knows that every recipient has the message.
func (v *Vault) delivered(message string, keys []string) bool {
	if v.opts.Done == nil || message == "" || len(keys) == 0 {
		return false
	}
	done := v.opts.Done(message, keys)
	for i := range keys {
		if i >= len(done) || !done[i] {
			return false
		}
	}
	return true
}

// until is when a message has been kept for long enough: as long as its class, or less where a rule says so.
func (v *Vault) until(r *Row) time.Time {
	keep := v.Keep(r.Class)
	if r.Keep > 0 {
		keep = min(keep, r.Keep)
	}
	return r.Arrived.Add(keep)
}

// expire erases what was kept for long enough.
func (v *Vault) expire(ctx context.Context, now time.Time) (gone int) {
	for ctx.Err() == nil {
		rows, err := v.opts.Index.Short(ctx, now, expireAtOnce)
		if err != nil {
			v.log.Error("quarantine: index", "error", err)
			return gone
		}
		before := gone
		for i := range rows {
			if v.end(rows[i].ID, Expired, "kept for "+rows[i].Keep.String()+", as a rule wants it") == nil {
				gone++
			}
		}
		if len(rows) < expireAtOnce || gone == before {
			break
		}
	}
	for _, c := range Classes() {
		for ctx.Err() == nil {
			rows, err := v.opts.Index.Oldest(ctx, c, now.Add(-v.Keep(c)), expireAtOnce)
			if err != nil {
				v.log.Error("quarantine: index", "error", err)
				return gone
			}
			before := gone
			for i := range rows {
				if v.end(rows[i].ID, Expired, "kept for "+v.Keep(c).String()) == nil {
					gone++
				}
			}
			if len(rows) < expireAtOnce || gone == before {
				break
			}
		}
	}
	return gone
}

// Expire erases now what was kept for long enough, and returns how many messages that were.
func (v *Vault) Expire(ctx context.Context) int { return v.expire(ctx, time.Now()) }

// Find returns what a filter picks, the newest first.
func (v *Vault) Find(ctx context.Context, f *Filter) ([]Row, error) { return v.opts.Index.Find(ctx, f) }

// Status tells how the vault is.
func (v *Vault) Status(ctx context.Context) Status {
	t := v.tuned()
	s := Status{Octets: v.octets.Load(), Messages: int(v.files.Load()), Most: orElse(t.MaxSize, 10<<30), Classes: map[string]Sums{}}
	sums, err := v.opts.Index.Sums(ctx)
	if err != nil {
		v.log.Error("quarantine: index", "error", err)
	}
	for c, sum := range sums {
		s.Classes[c.String()] = sum
		if rows, err := v.opts.Index.Oldest(ctx, c, time.Now().Add(time.Hour), 1); err == nil && len(rows) > 0 {
			if at := rows[0].ID.Time(); s.Oldest.IsZero() || at.Before(s.Oldest) {
				s.Oldest = at
			}
		}
	}
	s.NoRoom, s.Lessons = errors.Is(v.diskRoom(0), ErrNoRoom), v.lessons.count()
	v.mu.Lock()
	defer v.mu.Unlock()
	s.Pending, s.Unknown, s.Damaged = len(v.pending), len(v.unknown), len(v.damaged)
	if v.latched != nil {
		s.Latched = v.latched.Error()
	}
	return s
}

// Keys tells of the keys of the installation, and how many messages need each.
func (v *Vault) Keys(ctx context.Context) ([]KeyInfo, error) {
	used, err := v.opts.Index.Keys(ctx)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	for _, e := range v.pending {
		used[e.row.Key]++
	}
	v.mu.Unlock()
	out := v.opts.Keys.List()
	for i := range out {
		out[i].Messages = used[out[i].ID]
	}
	return out, nil
}

// ForgetKey removes a key of the installation that nothing needs any more.
func (v *Vault) ForgetKey(ctx context.Context, id string) error {
	all, err := v.Keys(ctx)
	if err != nil {
		return err
	}
	v.mu.Lock()
	unknown := len(v.unknown) + len(v.damaged)
	v.mu.Unlock()
	if unknown > 0 {
		return errors.New("the index does not know all messages yet, or some cannot be read: nobody can tell which keys are needed")
	}
	for i := range all {
		if all[i].ID == id && all[i].Messages > 0 {
			return errors.New("messages need that key: they are released, deleted or expire first")
		}
	}
	return v.opts.Keys.Forget(id)
}

// RotateKey makes a key of the installation for what comes from now on.
func (v *Vault) RotateKey() (string, error) { return v.opts.Keys.Rotate() }
