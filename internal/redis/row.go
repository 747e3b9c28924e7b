package redis

import (
	"context"
	"crypto/sha1"
	_ "embed" // the scripts
	"encoding/hex"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed grey.lua
var greySource string

//go:embed release.lua
var releaseSource string

//go:embed forget.lua
var forgetSource string

//go:embed gcra.lua
var gcraSource string

// script is one that the server keeps under its SHA-1.
type script struct{ source, sum string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source))
	return script{source, hex.EncodeToString(sum[:])}
}

// MostCalls is how many calls a Row may have.
const MostCalls = 32

var (
	errNotDone = errors.New("redis: the row was not done")
	errRow     = fmt.Errorf("redis: a row of more than %d calls", MostCalls)
	errAnswer  = errors.New("redis: an answer that the script does not give")
	errDone    = errors.New("redis: a row is done once")
)

// Row is what one stage asks, in one round trip. It belongs to one goroutine.
type Row struct {
	c      *Client
	calls  []*call
	done   bool
	probes bool // may be sent while the breaker is open, whoever else may
}

// call is one script with its keys, which all lie in one slot of a Cluster.
type call struct {
	script script
	keys   []string
	args   []any
	read   func(numbers []int64) bool // takes the answer, of want numbers, if it makes sense
	want   int
	err    *error // of this call
}

// Row makes an empty row.
func (c *Client) Row() *Row { return &Row{c: c} }

func (r *Row) add(c *call) { r.calls = append(r.calls, c) }

// Do asks all that was added, once. Each call has its own error; Do returns the first of them that says something about
// Redis, else the first. A row of nothing asks nothing.
func (r *Row) Do(ctx context.Context) error {
	if r.done {
		return errDone
	}
	r.done = true
	calls := r.calls[:0:0]
	for _, c := range r.calls {
		if *c.err == errNotDone { // not refused when it was added
			calls = append(calls, c)
		}
	}
	if len(r.calls) > MostCalls {
		for _, c := range calls {
			*c.err = errRow
		}
		return errRow
	}
	if len(calls) == 0 {
		return r.first()
	}
	err := r.c.doAs(ctx, r.probes, func(ctx context.Context) error { return r.c.send(ctx, calls) })
	for _, c := range calls {
		switch {
		case *c.err == errNotDone: // the breaker was open, or its caller left
			*c.err = err
		case *c.err == nil:
		case ctx.Err() != nil:
			*c.err = ctx.Err()
		default:
			*c.err = &Error{Kind: classify(*c.err), Err: *c.err}
		}
	}
	if err != nil {
		return err
	}
	return r.first()
}

// first is the first error of a call.
func (r *Row) first() error {
	for _, c := range r.calls {
		if *c.err != nil {
			return *c.err
		}
	}
	return nil
}

// send asks all calls in one pipeline, and those whose script the server does not have (after a restart, a failover or
// SCRIPT FLUSH) once more with it. Such a call was not carried out, so that nothing counts twice.
func (c *Client) send(ctx context.Context, calls []*call) error {
	c.pipe(ctx, calls, func(p goredis.Pipeliner, a *call) *goredis.Cmd {
		return p.EvalSha(ctx, a.script.sum, a.keys, a.args...)
	})
	var again []*call
	for _, a := range calls {
		if goredis.HasErrorPrefix(*a.err, "NOSCRIPT") {
			again = append(again, a)
		}
	}
	if len(again) > 0 {
		c.b.reloaded(len(again))
		c.pipe(ctx, again, func(p goredis.Pipeliner, a *call) *goredis.Cmd {
			return p.Eval(ctx, a.script.source, a.keys, a.args...)
		})
	}
	var worst error
	for _, a := range calls {
		if *a.err != nil && (worst == nil || classify(*a.err).sick() && !classify(worst).sick()) {
			worst = *a.err
		}
	}
	return worst
}

// pipe sends the calls in one pipeline and takes their answers.
func (c *Client) pipe(ctx context.Context, calls []*call, put func(goredis.Pipeliner, *call) *goredis.Cmd) {
	p := c.r.Pipeline()
	answers := make([]*goredis.Cmd, len(calls))
	for i, a := range calls {
		answers[i] = put(p, a)
	}
	_, failed := p.Exec(ctx)
	for i, a := range calls {
		err := answers[i].Err()
		if err == nil && answers[i].Val() == nil {
			err = failed // no connection: go-redis tells it of the pipeline alone
		}
		if err == nil {
			numbers, wrong := answers[i].Int64Slice()
			if wrong != nil || len(numbers) != a.want || !a.read(numbers) {
				err = errAnswer
			}
		}
		*a.err = err
	}
}
