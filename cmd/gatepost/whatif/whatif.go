package whatif

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatepost/cmd/gatepost/policy"
	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/replay"
	"gatepost/internal/store"
)

// Bounds of a question.
const (
	runTime    = 55 * time.Second // with waiting for its turn
	maxWaiting = 4                // questions that wait for their turn
	maxMarks   = 50_000           // messages in quarantine of which somebody said something
)

// Desk is what questions are answered from.
type Desk struct {
	Log replay.Source
	// Draft builds a document without putting it in force; nil: what is in force. stale are the keys by which checks find
	// something else than under what is in force. Its error, if it is a *control.Fault, is the reply.
	Draft func(ctx context.Context, text []byte) (draft *replay.Draft, stale []string, err error)
	// Version is the text of a version.
	Version func(ctx context.Context, number int64) ([]byte, error)
	// Marks find in quarantine; nil: there is none.
	Marks func(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error)

	turn    chan struct{} // has room for the one at work
	waiting chan struct{} // and for those who wait
}

// New makes a desk ready.
func New(d Desk) *Desk {
	d.turn, d.waiting = make(chan struct{}, 1), make(chan struct{}, maxWaiting)
	return &d
}

// Simulate is the operation as whoever asks knows it.
func Simulate() control.Operation {
	return control.Operation{Name: "policy simulate", Method: http.MethodPost, Path: "/policy/simulate", Right: access.PolicyRead, Body: policy.MaxBody, Time: runTime,
		Doc: "Judge recorded mail again under a draft of the policy, and tell which messages would have had another verdict"}
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(Simulate(), d.simulate)}
}

func (d *Desk) simulate(ctx context.Context, in *api.SimulateAsk) (*api.Simulation, error) {
	done, err := d.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var text []byte
	switch {
	case in.Text != "":
		text = []byte(in.Text)
	case in.Version > 0:
		if text, err = d.Version(ctx, in.Version); err != nil {
			return nil, err
		}
	}
	draft, stale, err := d.Draft(ctx, text)
	if err != nil {
		return nil, err
	}
	now, _, err := d.Draft(ctx, nil)
	if err != nil {
		return nil, err
	}
	q := &replay.Question{Draft: draft, Was: func(string) *replay.Draft { return now }, Domain: strings.ToLower(in.Domain), Limit: in.Limit,
		Window: store.Window{Since: time.Now().AddDate(0, 0, -max(in.Days, 1))}}
	if q.Marks, err = d.marks(ctx, q.Window.Since); err != nil {
		return nil, err
	}
	out, err := replay.Run(ctx, d.Log, q)
	if err != nil {
		return nil, err
	}
	out.Stale = stale
	Numbers(ctx, &out.List, &out.More)
	return out, nil
}

// Numbers takes the list of messages out of an answer where whoever asks may not read the log, and counts them to those that are not
// in it: numbers tell of nobody.
func Numbers(ctx context.Context, list *[]api.SimChange, more *int) {
	if actor := access.Of(ctx); !actor.May(access.LogRead) {
		*more, *list = *more+len(*list), []api.SimChange{}
	}
}

// Begin waits for the turn: one simulation at a time, so that it costs a part of one processor and no more.
func (d *Desk) Begin(ctx context.Context) (done func(), err error) {
	select {
	case d.waiting <- struct{}{}:
	default:
		return nil, &control.Fault{Status: http.StatusTooManyRequests, Message: "others are trying drafts on recorded mail", Hint: "ask again in a minute"}
	}
	defer func() { <-d.waiting }()
	select {
	case d.turn <- struct{}{}:
		return func() { <-d.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// marks are what people said of messages that are in quarantine still.
func (d *Desk) marks(ctx context.Context, since time.Time) (map[gateway.ID]api.SimMark, error) {
	out := map[gateway.ID]api.SimMark{}
	if d.Marks == nil {
		return out, nil
	}
	released := quarantine.Released
	for _, f := range []quarantine.Filter{{State: &released}, {Reported: "spam"}, {Reported: "ham"}} {
		f.Since, f.Limit = since, 1000
		for len(out) < maxMarks {
			rows, err := d.Marks(ctx, &f)
			if err != nil {
				return nil, err
			}
			for i := range rows {
				m := out[rows[i].ID]
				m.Released = m.Released || f.State != nil
				if f.Reported != "" {
					m.Reported = f.Reported
				}
				out[rows[i].ID] = m
			}
			if len(rows) < f.Limit {
				break
			}
			f.Before = rows[len(rows)-1].ID
		}
	}
	return out, nil
}
