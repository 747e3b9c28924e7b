package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/spool"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Bounds of what can be asked at once.
const (
	atOnce    = 500 // changed
	rawAtMost = 32 << 20
)

// Desk answers what is asked of the spool.
type Desk struct {
	// Queue is the spool; its error, a Fault, says why there is none.
	Queue func() (*spool.Queue, error)
	// Cleared is told who opened the spool again after its disk failed; nil where nobody can.
	Cleared func(by string)
}

func listQuestion() control.Operation {
	return control.Operation{Name: "queue list", Method: http.MethodGet, Path: "/queue", Doc: "List mail in the spool, the oldest first", Right: access.QueueRead}
}

func showQuestion() control.Operation {
	return control.Operation{Name: "queue show", Method: http.MethodGet, Path: "/queue/{id}", Doc: "Tell all that is known of a message in the spool", Right: access.QueueRead}
}

func viewQuestion() control.Operation {
	return control.Operation{Name: "queue view", Method: http.MethodGet, Path: "/queue/{id}/message", Doc: "Get a message of the spool itself", Right: access.QuarantineView, Shows: true}
}

func changeQuestion(v spool.Verb) control.Operation {
	return control.Operation{Name: "queue " + string(v), Method: http.MethodPost, Path: "/queue/" + string(v), Doc: map[spool.Verb]string{
		spool.Retry: "Try messages now; dead letters begin anew", spool.Hold: "Do not try messages until they are released", spool.Release: "Try held messages again",
		spool.Bounce: "Give messages up: their senders are told where they may be, else they become dead letters",
		spool.Delete: "Remove messages from the spool, and tell nobody but the journal", spool.Reroute: "Send messages by another route"}[v], Right: access.QueueChange}
}

func clearQuestion() control.Operation {
	return control.Operation{Name: "queue clear-latch", Method: http.MethodPost, Path: "/queue/clear-latch", Doc: "Take mail into the spool again after its disk failed and was mended", Right: access.QueueChange}
}

// Operations are those of the spool.
func (d *Desk) Operations() []control.Operation {
	out := []control.Operation{control.Define(listQuestion(), d.list), control.Define(showQuestion(), d.show), control.Define(viewQuestion(), d.view), control.Define(clearQuestion(), d.clear)}
	for _, v := range []spool.Verb{spool.Retry, spool.Hold, spool.Release, spool.Bounce, spool.Delete} {
		out = append(out, control.Define(changeQuestion(v), func(ctx context.Context, in *api.QueueChange) (*api.QueueChanged, error) {
			return d.change(ctx, in, spool.Action{Verb: v})
		}))
	}
	return append(out, control.Define(changeQuestion(spool.Reroute), func(ctx context.Context, in *api.QueueReroute) (*api.QueueChanged, error) {
		return d.change(ctx, &in.QueueChange, spool.Action{Verb: spool.Reroute, Route: in.ToRoute})
	}))
}

func filter(f *api.QueueFilter, ids []gateway.ID) *spool.Filter {
	return &spool.Filter{IDs: ids, Route: f.Route, State: f.State, From: f.From, To: f.To, Said: f.Said, Before: f.Before}
}

func (d *Desk) list(ctx context.Context, in *api.QueueAsk) (*api.QueueList, error) {
	q, err := d.Queue()
	if err != nil {
		return nil, err
	}
	actor, f := access.Of(ctx), filter(&in.QueueFilter, in.IDs)
	after, err := readCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	f.After = after.at
	out := &api.QueueList{Messages: []spool.Listed{}}
	err = q.Each(f, func(l *spool.Listed) error {
		switch {
		case !after.before(l):
			return nil
		case !bound(&actor, q, l, in.To):
			return ctx.Err()
		case len(out.Messages) == in.Limit:
			out.Next = cursorOf(&out.Messages[in.Limit-1])
			return errFull
		}
		out.Messages = append(out.Messages, *l)
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, err
	}
	if !actor.Everywhere() {
		return out, nil
	}
	totals := q.Totals()
	out.Totals = &totals
	if in.Damaged {
		out.Damaged, err = q.Damaged()
		return out, err
	}
	return out, nil
}

// errFull ends a walk.
var errFull = errors.New("full")

// cursor is a place in the order of the list: by when a message arrived, and by its reference.
type cursor struct {
	at time.Time
	id gateway.ID
}

func cursorOf(l *spool.Listed) string {
	return strconv.FormatInt(l.Arrived.UnixMilli(), 36) + "." + l.ID.String()
}

func readCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	at, id, _ := strings.Cut(text, ".")
	ms, bad := strconv.ParseInt(at, 36, 64)
	if c.id, err = gateway.ParseID(id); err != nil || bad != nil || ms < 0 {
		return c, &control.Fault{Status: http.StatusBadRequest, Message: "cursor: it is none of ours", Field: "cursor"}
	}
	c.at = time.UnixMilli(ms)
	return c, nil
}

// before reports whether a message comes behind the place.
func (c *cursor) before(l *spool.Listed) bool {
	return l.Arrived.After(c.at) || l.Arrived.Equal(c.at) && l.ID > c.id
}

// bound leaves of a message what an actor sees: false where that is nothing, or not what he asked for.
func bound(a *access.Actor, q *spool.Queue, l *spool.Listed, to string) bool {
	if a.Everywhere() {
		return true
	}
	if l.More { // memory does not have all of them
		s, err := q.Show(l.ID)
		if err != nil {
			return false
		}
		l.To, l.More = s.To, false
	}
	all := len(l.To)
	l.To = slices.DeleteFunc(slices.Clone(l.To), func(x string) bool { return !a.SeesAny(x) })
	if l.Rcpts = len(l.To); l.Rcpts < all {
		l.Left, l.Said = min(l.Left, l.Rcpts), "" // it may name another's recipient
	}
	return len(l.To) > 0 && (to == "" || slices.ContainsFunc(l.To, func(x string) bool { return strings.Contains(strings.ToLower(x), strings.ToLower(to)) }))
}

// find reads a reference, and what an actor sees of its message.
func (d *Desk) find(ctx context.Context, text string) (*spool.Queue, *spool.Shown, error) {
	q, err := d.Queue()
	if err != nil {
		return nil, nil, err
	}
	id, err := gateway.ParseID(text)
	if err != nil {
		return nil, nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: "id"}
	}
	s, err := q.Show(id)
	if err != nil {
		return nil, nil, notThere(id, err)
	}
	actor := access.Of(ctx)
	if actor.Everywhere() {
		return q, s, nil
	}
	all := len(s.Rcpts)
	s.Rcpts = slices.DeleteFunc(s.Rcpts, func(f spool.Fate) bool { return !actor.SeesAny(f.Address) })
	if s.File = ""; len(s.Rcpts) == 0 {
		return nil, nil, notThere(id, os.ErrNotExist)
	}
	s.To = slices.DeleteFunc(s.To, func(x string) bool { return !actor.SeesAny(x) })
	if len(s.Rcpts) < all {
		s.Said, s.Listed.Rcpts, s.Left = "", len(s.Rcpts), min(s.Left, len(s.Rcpts))
		s.Custody.Why = ""
	}
	return q, s, nil
}

func (d *Desk) show(ctx context.Context, in *api.QueueID) (*spool.Shown, error) {
	_, s, err := d.find(ctx, in.ID)
	return s, err
}

// view hands out the message as it goes out, to who says what for.
func (d *Desk) view(ctx context.Context, in *api.QueueLook) (*control.File, error) {
	if err := control.Why(ctx, in.Why); err != nil {
		return nil, err
	}
	q, s, err := d.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	control.Changed(ctx, control.Change{Object: s.ID.String()})
	m, err := q.Open(s.ID)
	if err != nil {
		return nil, notThere(s.ID, err)
	}
	defer m.Close()
	text, err := io.ReadAll(io.LimitReader(m, rawAtMost+1))
	if err == nil && len(text) > rawAtMost {
		err = &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: "the message is too large to be handed out", Hint: "gatepost queue show names its file"}
	}
	if err != nil {
		return nil, err
	}
	return &control.File{Name: s.ID.String() + ".eml", Type: "message/rfc822", Data: text}, nil
}

// notThere words that a message is not there.
func notThere(id gateway.ID, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &control.Fault{Status: http.StatusNotFound, Message: id.String() + " is not in the spool", Hint: "gatepost trace " + id.String() + " tells what became of it"}
	}
	return err
}

func (d *Desk) change(ctx context.Context, in *api.QueueChange, a spool.Action) (*api.QueueChanged, error) {
	q, err := d.Queue()
	if err != nil {
		return nil, err
	}
	if len(in.IDs) > atOnce {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("ids: at most %d at once", atOnce), Field: "ids"}
	}
	actor, names := access.Of(ctx), make([]string, len(in.IDs))
	for i, id := range in.IDs {
		names[i] = id.String()
	}
	control.Changed(ctx, control.Change{Object: strings.Join(names[:min(len(names), 10)], " "), After: map[string]any{"messages": len(names), "route": a.Route}})
	a.Why, a.DryRun = gateway.CleanText(actor.Name, 64), in.DryRun
	out := &api.QueueChanged{Messages: []api.QueueDone{}}
	err = q.Do(ctx, filter(&in.QueueFilter, in.IDs), a, func(l *spool.Listed, err error) error {
		done := api.QueueDone{Listed: *l}
		if err != nil {
			done.Error = gateway.CleanText(err.Error(), 300)
		}
		out.Messages = append(out.Messages, done)
		return nil
	})
	if err != nil && len(out.Messages) == 0 {
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	return out, nil
}

func (d *Desk) clear(ctx context.Context, _ *struct{}) (*api.Was, error) {
	q, err := d.Queue()
	if err != nil {
		return nil, err
	}
	before := q.Totals().Latched
	if before == "" {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the spool is not shut", Hint: "nothing was changed"}
	}
	if err := q.Unlatch(); err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the disk still fails: " + err.Error(), Hint: "the spool stays shut, and mail is deferred while its route is down"}
	}
	actor := access.Of(ctx)
	control.Changed(ctx, control.Change{Object: "spool", Before: before})
	d.Cleared(gateway.CleanText(actor.Name, 64))
	return &api.Was{Was: before}, nil
}
