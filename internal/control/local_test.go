package control

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"gatepost/internal/access"
)

// TestLocal asks a surface in the same process: as whom it is told, with his rights; what is large, what is refused, what breaks and
// what nobody waits for any more.
func TestLocal(t *testing.T) {
	type in struct {
		N int `json:"n" doc:"how many"`
	}
	ended := make(chan struct{})
	who := Define(Look("who", "/who", "Who", access.Own), func(ctx context.Context, _ *in) (*access.Actor, error) {
		a := access.Of(ctx)
		return &a, nil
	})
	large := Define(Do("large", "/large", "Large", access.Own), func(_ context.Context, x *in) ([]string, error) {
		return []string{strings.Repeat("x", x.N)}, nil
	})
	secret := Define(Look("secret", "/secret", "Secret", access.UsersChange), func(context.Context, *in) (bool, error) { return true, nil })
	broken := Define(Look("broken", "/broken", "Broken", access.Own), func(context.Context, *in) (bool, error) { panic("as asked") })
	slow := Define(Look("slow", "/slow", "Slow", access.Own), func(ctx context.Context, _ *in) (bool, error) {
		defer close(ended)
		<-ctx.Done()
		return false, ctx.Err()
	})
	s := &Surface{Operations: []Operation{who, large, secret, broken, slow}}
	var log bytes.Buffer
	c := NewLocal(s.Handler(""), access.Actor{Name: "anna", Role: access.HelpDesk, Via: access.BySSH}, slog.New(slog.NewTextHandler(&log, nil)))
	var a access.Actor
	if err := c.Ask(t.Context(), &who, &in{}, &a); err != nil || a.Name != "anna" || a.Via != access.BySSH {
		t.Errorf("%+v, %v", a, err)
	}
	var list []string
	if err := c.Ask(t.Context(), &large, &in{4 << 20}, &list); err != nil || len(list) != 1 || len(list[0]) != 4<<20 {
		t.Errorf("%d, %v", len(list), err)
	}
	var yes bool
	if f, ok := errors.AsType[*Fault](c.Ask(t.Context(), &secret, &in{}, &yes)); !ok || f.Status != http.StatusForbidden {
		t.Error("a right that he has not")
	}
	if err := c.Ask(t.Context(), &broken, &in{}, &yes); err == nil || strings.Contains(err.Error(), "as asked") {
		t.Errorf("what broke was answered, or told to whoever asked: %v", err)
	}
	if said := log.String(); !strings.Contains(said, "path=/broken") || !strings.Contains(said, "as asked") || !strings.Contains(said, "local_test.go") {
		t.Errorf("the log says %s", said)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ask(ctx, &slow, &in{}, &yes); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-t.Context().Done():
	}
}
