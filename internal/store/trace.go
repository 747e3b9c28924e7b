package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gatepost/gateway"
)

// maxRelated bounds how many transactions of a connection are given with it.
const maxRelated = 200

// ErrNotFound says that the log holds no event of that reference.
var ErrNotFound = errors.New("log: no event with this reference")

// Story is one event and what belongs to it.
type Story struct {
	Event *gateway.Event
	// Connection is that of a transaction; nil while it lasts, since its event is written at its end.
	Connection *gateway.Event
	// Transactions are those of a connection, in their order; Rest says how many more there are.
	Transactions []*gateway.Event
	Rest         int
	Gaps         []Gap // days that could not be read
}

// Trace returns the event of a reference, its connection when it is a transaction, and its transactions when it is a
// connection. A connection that still lasts is known by its transactions: Event is then nil. It answers ErrNotFound when
// there is nothing; the Story holds the gaps even then.
func (r *Reader) Trace(ctx context.Context, id gateway.ID) (*Story, error) {
	s := new(Story)
	e, gaps, err := r.get(ctx, id)
	s.Event, s.Gaps = e, gaps
	if err != nil && !errors.Is(err, ErrNotFound) {
		return s, err
	}
	if e != nil && e.Kind == gateway.TransactionEvent {
		s.Connection, _, err = r.get(ctx, e.Record.Session)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return s, err
	}
	if err := r.transactions(ctx, id, s); err != nil {
		return s, err
	}
	if e == nil && len(s.Transactions) == 0 {
		return s, ErrNotFound
	}
	return s, nil
}

// get looks in the file of the id's day, and in the others only when it is not there: clocks jump.
func (r *Reader) get(ctx context.Context, id gateway.ID) (*gateway.Event, []Gap, error) {
	var found *gateway.Event
	look := func(ctx context.Context, db *sql.DB) error {
		e, err := getFrom(ctx, db, id)
		if err != nil || e == nil {
			return err
		}
		found = e
		return errStop
	}
	d := dayOf(id.Time())
	// The walk through all files meets the gaps of the first again.
	if _, err := r.walk(ctx, d, d, false, look); err != nil || found != nil {
		return found, nil, err
	}
	gaps, err := r.walk(ctx, "", "9999-12-31", false, look)
	if err != nil {
		return nil, gaps, err
	}
	if found == nil {
		return nil, gaps, ErrNotFound
	}
	return found, nil, nil
}

const storyColumns = `SELECT e.kind, s.record, s.verdict, s.rest, s.evidence FROM event e JOIN story s ON s.id = e.id `

func getFrom(ctx context.Context, db *sql.DB, id gateway.ID) (*gateway.Event, error) {
	e, err := scanStory(db.QueryRowContext(ctx, storyColumns+"WHERE e.id = ?", int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return e, err
}

func scanStory(row interface{ Scan(...any) error }) (*gateway.Event, error) {
	var kind gateway.EventKind
	var s story
	if err := row.Scan(&kind, &s.record, &s.verdict, &s.rest, &s.evidence); err != nil {
		return nil, err
	}
	return s.decode(kind)
}

// transactions adds those of a connection: they are in the file of its day, or of the next.
func (r *Reader) transactions(ctx context.Context, session gateway.ID, s *Story) error {
	d := dayOf(session.Time())
	gaps, err := r.walk(ctx, d, d.add(1), true, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, storyColumns+"WHERE e.session = ? AND e.kind = 1 ORDER BY e.id", int64(session))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if len(s.Transactions) >= maxRelated {
				s.Rest++
				continue
			}
			e, err := scanStory(rows)
			if err != nil {
				return fmt.Errorf("log: %w", err)
			}
			s.Transactions = append(s.Transactions, e)
		}
		return rows.Err()
	})
	s.Gaps = append(s.Gaps, gaps...)
	return err
}

// Events gives each transaction that began in a time to see, the oldest first, as it was stored: to judge them again. It
// stops at the first error of see, and answers it.
func (r *Reader) Events(ctx context.Context, w Window, see func(*gateway.Event) error) ([]Gap, error) {
	var stop error
	gaps, err := r.walk(ctx, w.first(), w.last(), true, func(ctx context.Context, db *sql.DB) error {
		low, high := w.ids()
		rows, err := db.QueryContext(ctx, storyColumns+"WHERE e.id >= ? AND e.id < ? AND e.kind = 1 ORDER BY e.id", low, high)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanStory(rows)
			if err != nil {
				return err
			}
			if stop = see(e); stop != nil {
				return errStop
			}
		}
		return rows.Err()
	})
	return gaps, errors.Join(err, stop)
}
