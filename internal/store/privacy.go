package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gatepost/gateway"
)

// Changed is what became of the log by a change of what it holds.
type Changed struct {
	Events int   `json:"events"`
	Fates  int   `json:"fates"`          // what became of messages in the spool
	Gaps   []Gap `json:"gaps,omitempty"` // days of which something stays as it is
}

// ErrAddress says that a text is no address of somebody.
var ErrAddress = errors.New("log: that is no address of a person")

// person is the mask of one person.
func person(names *Names, address string) (*mask, error) {
	key := strings.Trim(addressKey(strings.TrimSpace(address)), "<>")
	if at := strings.LastIndexByte(key, '@'); at <= 0 || at == len(key)-1 || strings.ContainsAny(key, "\r\n\x00") {
		return nil, ErrAddress
	}
	return &mask{names: names, one: key, oneName: names.Address(key)}, nil
}

// may reports whether a block may tell of the person.
func (m *mask) may(stories []byte) bool {
	low := bytes.ToLower(stories)
	return bytes.Contains(low, []byte(m.one)) || bytes.Contains(low, []byte(m.oneName))
}

// Erase takes what tells of a person out of every event, of today's too, where his address stands in any text or under its
// pseudonym: it becomes "erased" at his domain, and what the mail was about goes with it. When, how and why it was judged stays.
func (l *Log) Erase(ctx context.Context, names *Names, address string) (Changed, error) {
	m, err := person(names, address)
	if err != nil {
		return Changed{}, err
	}
	if err := l.Flush(ctx); err != nil {
		return Changed{}, err
	}
	if l.shared != nil {
		return l.shared.change(ctx, l, &edit{m: m, may: m.may}, func(sharedDay) bool { return true })
	}
	return l.change(ctx, &edit{m: m, may: m.may}, func(file) bool { return true })
}

// Pseudonymise puts pseudonyms in the place of all addresses of days that ended before a time, and networks in that of clients;
// subjects and evidence go. Who knows an address finds its events still (Reader.Known).
func (l *Log) Pseudonymise(ctx context.Context, names *Names, before time.Time) (Changed, error) {
	if l.shared != nil {
		return l.shared.change(ctx, l, &edit{m: &mask{names: names}}, func(d sharedDay) bool { return !d.day.end().After(before) && !d.named })
	}
	return l.change(ctx, &edit{m: &mask{names: names}}, func(f file) bool {
		if f.day.end().After(before) {
			return false
		}
		at := applicationID(ctx, f.path)
		return at != nameState && at != bothState
	})
}

// change rewrites the files that are picked, one after the other, and takes most of a processor to nobody.
func (l *Log) change(ctx context.Context, e *edit, pick func(file) bool) (c Changed, err error) {
	files, err := list(l.o.Dir)
	if err != nil {
		return c, fmt.Errorf("log: %w", err)
	}
	pace := &closer{l: l}
	for _, f := range files {
		if f.aside {
			c.Gaps = append(c.Gaps, Gap{string(f.day), "the file is damaged and was set aside"})
			continue
		}
		if !pick(f) {
			continue
		}
		r := &rewriter{edit: e}
		if r.encoder, err = newEncoder(); err != nil {
			return c, err
		}
		err := r.file(ctx, f, func(ctx context.Context, took time.Duration) error { return pace.rest(ctx, took) })
		c.Events, c.Fates = c.Events+r.events, c.Fates+r.fates
		switch {
		case ctx.Err() != nil:
			return c, ctx.Err()
		case errors.Is(err, os.ErrNotExist): // its time was over meanwhile
			continue
		case err != nil:
			c.Gaps = append(c.Gaps, Gap{string(f.day), err.Error()})
			continue
		case r.bad > 0:
			c.Gaps = append(c.Gaps, Gap{string(f.day), fmt.Sprintf("%d blocks are damaged, and stay as they are", r.bad)})
		}
		if r.events+r.fates == 0 && !e.all() {
			continue
		}
		if err := finishFile(ctx, f, e.state()); err != nil {
			c.Gaps = append(c.Gaps, Gap{string(f.day), err.Error()})
		}
	}
	return c, nil
}

// finishFile makes a day that is closed anew without what was replaced, notes what it is now, and tells of events that no block has:
// those of the first version.
func finishFile(ctx context.Context, f file, state int) error {
	db, err := openWrite(ctx, f.path, "temp_store(FILE)") // as large as the day, for a moment
	if err != nil {
		return err
	}
	defer db.Close()
	var old, open bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM story), EXISTS (SELECT 1 FROM block)").Scan(&old, &open); err != nil {
		return err
	}
	if state != 0 {
		if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", stateWith(applicationID(ctx, f.path), state))); err != nil {
			return err
		}
	}
	if !open {
		if _, err := db.ExecContext(ctx, "VACUUM"); err != nil {
			return fmt.Errorf("what was replaced may lie in free parts of the file until its day goes: %w", err)
		}
		// These fail while somebody else has it open; then the file beside it keeps what was replaced until it begins anew.
		_, _ = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		_, _ = db.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	}
	if old {
		return errors.New("it has events of the first version, which stay as they are until their day goes")
	}
	return nil
}

// applicationID is what a file says of itself; 0 where it cannot be read.
func applicationID(ctx context.Context, path string) (id int) {
	db, _, err := openRead(ctx, path)
	if err != nil {
		return 0
	}
	defer db.Close()
	_ = db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id) // then it is 0
	return id
}

// About gives each event and each fate to see in which the address of a person stands, in any text, or under its pseudonym: what
// Erase would change, the oldest day first. It stops at the first error of see, and answers it.
func (r *Reader) About(ctx context.Context, names *Names, address string, see func(*gateway.Event) error, fate func(*gateway.Fate) error) ([]Gap, error) {
	m, err := person(names, address)
	if err != nil {
		return nil, err
	}
	var stop error
	gaps, err := r.walk(ctx, "", "9999-12-31", true, func(ctx context.Context, v *view) error {
		if !v.blocks && !v.shared {
			return errors.New("it is of the first version, and is not read for that")
		}
		if stop = v.about(ctx, m, see); stop == nil {
			stop = v.fatesAbout(ctx, m, fate)
		}
		if stop != nil {
			return errStop
		}
		return nil
	})
	return gaps, errors.Join(err, stop)
}

func (v *view) about(ctx context.Context, m *mask, see func(*gateway.Event) error) error {
	seqs, err := numbers(v.tx.QueryContext(ctx, "SELECT seq FROM stories ORDER BY seq"))
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		u, err := v.unpack(ctx, seq)
		if err != nil || !m.may(u.stories) {
			continue // what does not read is found by nobody
		}
		d, err := v.decoder(ctx, u.shape)
		if err != nil {
			return err
		}
		for at := 0; at < len(u.stories); {
			e, err := d.event(u.stories[at:])
			if err != nil {
				delete(v.decoders, u.shape)
				break
			}
			at = len(u.stories) - d.in.Len()
			if !m.eventAbout(e) {
				continue
			}
			if err := see(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *view) fatesAbout(ctx context.Context, m *mask, see func(*gateway.Fate) error) error {
	return v.eachFate(ctx, func(f *gateway.Fate, bad error) error {
		if bad != nil || !m.about(fateText(f)) {
			return nil // what does not read is found by nobody
		}
		return see(f)
	}, "ORDER BY seq")
}
