package maillog

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatepost/internal/api"
	"gatepost/internal/control"
)

const (
	maxQuestions = 16              // that are answered at once; more wait for their turn, and no longer than for an answer
	lateTime     = 2 * time.Second // for what was found until the time was over
)

// within bounds how long a question of the log takes, even where a disk hangs that the log lies on: whoever reads it then cannot be
// stopped, but nobody has to wait for him. otherwise is the answer in that case; nil for a Fault.
func within[In, Out any](l *Log, ask func(context.Context, *In) (*Out, error), otherwise func(*In) *Out) func(context.Context, *In) (*Out, error) {
	hung := func(in *In) (*Out, error) {
		if otherwise != nil {
			return otherwise(in), nil
		}
		return nil, &control.Fault{Status: http.StatusServiceUnavailable, Message: unanswered, Hint: "look at the disk of the message log; mail does not wait for it"}
	}
	type answer struct {
		out *Out
		err error
	}
	return func(ctx context.Context, in *In) (*Out, error) {
		ctx, cancel := context.WithTimeout(ctx, searchTime)
		select {
		case l.room <- struct{}{}:
		case <-ctx.Done():
			cancel()
			return hung(in)
		}
		said := make(chan answer, 1)
		go func() {
			defer func() {
				if p := recover(); p != nil { // as the server would, of whose goroutines this is none
					said <- answer{err: fmt.Errorf("message log: panic: %v", p)}
				}
				cancel()
				<-l.room
			}()
			out, err := ask(ctx, in)
			said <- answer{out, err}
		}()
		late := time.NewTimer(searchTime + lateTime)
		defer late.Stop()
		select {
		case a := <-said:
			return a.out, a.err
		case <-late.C:
			return hung(in)
		}
	}
}

// unanswered says that the log does not answer.
const unanswered = "the message log does not answer: its disk hangs, or it is asked more than it can answer"

// unsummed is a summary of nothing, since nothing could be read: whoever shows it has more to say than what the log does.
func unsummed(in *api.SummaryAsk) *api.Summary {
	now := time.Now().UTC()
	length, long := step(in.Range), api.LogRanges()[in.Range]
	until := now.Truncate(length).Add(length)
	since := until.Add(-long)
	return &api.Summary{Since: since, Until: until, Columns: spans(since, until, int(long/length)), Gaps: []string{unanswered}}
}
