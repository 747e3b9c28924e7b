package dns

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

// TestSecretNames: what fails, and what a hostile reply breaks, is logged without its name where that is a secret, and what is
// shown of a server never has it.
func TestSecretNames(t *testing.T) {
	const secret = "2.0.0.127.s3cretkey.list.example"
	var log bytes.Buffer
	answer := func(_ context.Context, req, reply *wire.Msg) {
		switch {
		case strings.HasPrefix(req.Question[0].Name, "panic."):
			panic("broken over " + req.Question[0].Name[:5])
		case strings.HasPrefix(req.Question[0].Name, "lame."):
			reply.RecursionAvailable = false
			reply.Ns = append(reply.Ns, rr(t, "list.example. NS ns.list.example."))
		default:
			reply.Rcode = wire.RcodeServerFailure
		}
	}
	r := fake(t, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, answer)
	for _, prefix := range []string{"", "panic.", "lame."} {
		for _, secretly := range []bool{true, false} {
			log.Reset()
			ctx, name := t.Context(), prefix+"open."+secret
			if secretly {
				ctx, name = With(ctx, Manner{Secret: true}), prefix+secret
			}
			if a := r.A(ctx, name); a.Status != Failed {
				t.Errorf("%s: %v", name, a.Status)
			}
			if got := strings.Contains(log.String(), "s3cretkey"); got == secretly || log.Len() == 0 {
				t.Errorf("secret %v: the log has %q", secretly, log.String())
			}
		}
	}
	for _, s := range r.Stats().Servers {
		if strings.Contains(s.LastError, "s3cretkey") {
			t.Errorf("shown: %q", s.LastError)
		}
	}
}

// TestLasting: an answer that comes too late for the one who asked is there for the next, but never waited for without end.
func TestLasting(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := fake(t, Options{}, func(ctx context.Context, _, reply *wire.Msg) {
				select {
				case <-time.After(1500 * time.Millisecond):
				case <-ctx.Done():
				}
				reply.Answer = append(reply.Answer, rr(t, "late.example. 60 A 127.0.0.2"))
			})
			ctx, cancel := context.WithTimeout(With(t.Context(), Manner{Lasting: lasting}), time.Second)
			defer cancel()
			if a := r.A(ctx, "late.example"); a.Kind != Timeout {
				t.Errorf("%v", a.Kind)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if n := r.Stats().UnderWay; n != 0 {
				t.Errorf("%d under way", n)
			}
			if a := r.A(t.Context(), "late.example"); a.Cached != lasting || a.Status != Found {
				t.Errorf("lasting %v: cached %v, %v", lasting, a.Cached, a.Status)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := fake(t, Options{}, func(ctx context.Context, _, _ *wire.Msg) { <-ctx.Done() })
		ctx, cancel := context.WithTimeout(With(t.Context(), Manner{Lasting: true}), time.Second)
		defer cancel()
		r.A(ctx, "never.example")
		time.Sleep(r.opt.Deadline)
		synctest.Wait()
		if n := r.Stats().UnderWay; n != 0 {
			t.Errorf("%d under way after the deadline", n)
		}
	})
}

// TestOverloadIsNobodysSilence: who gives up before it was the lookup's turn hears that too much was under way, and not that a
// server was silent.
func TestOverloadIsNobodysSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fake(t, Options{Concurrency: 1}, func(ctx context.Context, _, _ *wire.Msg) { <-ctx.Done() })
		ask := func(name string, kind Kind, wait time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			if a := r.A(ctx, name); a.Kind != kind || a.Status != Failed {
				t.Errorf("%s: %v %v, not %v", name, a.Status, a.Kind, kind)
			}
		}
		var all sync.WaitGroup
		all.Go(func() { ask("first.example", Timeout, 2*time.Second) })
		synctest.Wait()
		all.Go(func() { ask("second.example", Overload, time.Second) })
		all.Wait()
		synctest.Wait()
	})
}
