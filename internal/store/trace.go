package store

import (
	"context"
	"errors"
	"math"

	"gatepost/gateway"
)

// maxRelated bounds how many transactions of a connection are given with it.
const maxRelated = 200

// ErrNotFound says that the log holds no event of that reference.
var ErrNotFound = errors.New("log: no event with this reference")

// Story is one event and what belongs to it.
type Story struct {
	Event *gateway.Event
	Node  string // whose it is, in a log that nodes share; of a connection that lasts, that of its transactions
	// Connection is that of a transaction; nil while it lasts, since its event is written at its end.
	Connection *gateway.Event
	// Transactions are those of a connection, in their order; Rest says how many more there are.
	Transactions []*gateway.Event
	Rest         int
	Fates        []gateway.Fate // what became of a message in the spool
	Gaps         []Gap          // days that could not be read
}

// Trace returns the event of a reference, its connection when it is a transaction, and its transactions when it is a
// connection. A connection that still lasts is known by its transactions: Event is then nil. It answers ErrNotFound when
// there is nothing; the Story holds the gaps even then.
func (r *Reader) Trace(ctx context.Context, id gateway.ID) (*Story, error) {
	s := new(Story)
	e, node, gaps, err := r.get(ctx, id)
	s.Event, s.Node, s.Gaps = e, node, gaps
	if err != nil && !errors.Is(err, ErrNotFound) {
		return s, err
	}
	if err := r.fates(ctx, id, s); err != nil {
		return s, err
	}
	if e != nil && e.Kind == gateway.TransactionEvent {
		s.Connection, _, _, err = r.get(ctx, e.Record.Session)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return s, err
	}
	if err := r.transactions(ctx, id, s); err != nil {
		return s, err
	}
	if e == nil && len(s.Transactions) == 0 && len(s.Fates) == 0 {
		return s, ErrNotFound
	}
	return s, nil
}

// get looks in the file of the id's day, and in the others only when it is not there: clocks jump.
func (r *Reader) get(ctx context.Context, id gateway.ID) (found *gateway.Event, node string, _ []Gap, _ error) {
	look := func(ctx context.Context, v *view) (err error) {
		if found, node, err = v.get(ctx, id); err != nil || found == nil {
			return err
		}
		return errStop
	}
	d := dayOf(id.Time())
	// The walk through all files meets the gaps of the first again.
	if _, err := r.walk(ctx, d, d, false, look); err != nil || found != nil {
		return found, node, nil, err
	}
	gaps, err := r.walk(ctx, "", "9999-12-31", false, look)
	if err != nil {
		return nil, "", gaps, err
	}
	if found == nil {
		return nil, "", gaps, ErrNotFound
	}
	return found, node, nil, nil
}

// transactions adds those of a connection: they are in the file of its day, or of the next.
func (r *Reader) transactions(ctx context.Context, session gateway.ID, s *Story) error {
	d := dayOf(session.Time())
	gaps, err := r.walk(ctx, d, d.add(1), true, func(ctx context.Context, v *view) error {
		all, err := v.refs(ctx, "session = ? AND kind = 1", []any{int64(session)}, int64(session), math.MaxInt64, [][]uint64{{keyOf(keySession, number64(int64(session)))}}, func(c *columns) bool {
			return c.session == int64(session)
		})
		for _, at := range all {
			if len(s.Transactions) >= maxRelated {
				s.Rest++
				continue
			}
			e, err := v.story(ctx, at)
			if err != nil {
				return err
			}
			if s.Event == nil {
				s.Node = at.node
			}
			s.Transactions = append(s.Transactions, e)
		}
		return err
	})
	s.Gaps = append(s.Gaps, gaps...)
	return err
}

// Events gives each transaction that began in a time to see, the oldest first, as it was stored: to judge them again. It
// stops at the first error of see, and answers it.
func (r *Reader) Events(ctx context.Context, w Window, see func(*gateway.Event) error) ([]Gap, error) {
	var stop error
	low, high := w.ids()
	gaps, err := r.walk(ctx, w.first(), w.last(), true, func(ctx context.Context, v *view) error {
		all, bad := v.refs(ctx, "id >= ? AND id < ? AND kind = 1", []any{low, high}, low, high, nil, func(c *columns) bool { return true })
		for _, at := range all {
			e, err := v.story(ctx, at)
			if err != nil {
				return err
			}
			if stop = see(e); stop != nil {
				return errStop
			}
		}
		return bad
	})
	return gaps, errors.Join(err, stop)
}
