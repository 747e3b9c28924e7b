package store

import (
	"context"
	"time"

	"gatepost/gateway"
)

// edit is what becomes of events that were written.
type edit struct {
	m *mask // takes what tells of people out; nil: nothing is masked
	// may reports whether the stories of a block may hold what is to be changed; nil: all do.
	may  func(stories []byte) bool
	drop func(e *gateway.Event) bool // says which events go; nil: none
}

// all reports whether no event of a day is left out.
func (e *edit) all() bool { return e.m == nil || e.m.one == "" }

// state is what a file of day says of itself afterwards; 0: nothing.
func (e *edit) state() int {
	switch {
	case e.drop != nil:
		return trimState
	case e.all():
		return nameState
	}
	return 0
}

// Contentless reports whether an event is of the class that DropContentless removes: a transaction that ended before DATA, as most that
// are refused do, or a connection in which no content of a message came at all.
func Contentless(e *gateway.Event) bool {
	if e.Kind == gateway.TransactionEvent {
		return e.Record.Stage < gateway.Data
	}
	return e.Session.Octets == 0
}

// DropContentless removes, of days that ended before a time, the events of which no content came, and the networks that were refused
// before the banner. Counts stay (Reader.Activity), and so does what became of messages in the spool.
func (l *Log) DropContentless(ctx context.Context, before time.Time) (Changed, error) {
	e := &edit{drop: Contentless}
	if l.shared != nil {
		return l.shared.change(ctx, l, e, func(d sharedDay) bool { return !d.day.end().After(before) && !d.trimmed })
	}
	return l.change(ctx, e, func(f file) bool {
		if f.day.end().After(before) {
			return false
		}
		at := applicationID(ctx, f.path)
		return at != trimState && at != bothState
	})
}
