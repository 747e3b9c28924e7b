package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestDigest: what was told, sent and used is known after the file was opened again, each to whom it belongs, and goes when its
// time is over.
func TestDigest(t *testing.T) {
	ctx, name := context.Background(), filepath.Join(t.TempDir(), "digest.db")
	open := func() *Digest {
		s, err := OpenDigest(ctx, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := time.UnixMilli(1_800_000_000_000).UTC()
	id := func(after time.Duration) gateway.ID { return gateway.ID(at.Add(after).UnixMilli()) << 20 }
	many := make([]gateway.ID, 2*fatesAtOnce+1)
	for i := range many {
		many[i] = id(time.Duration(i) * time.Second)
	}
	s := open()
	if last, err := s.Last(ctx, "served.test"); err != nil || !last.IsZero() {
		t.Errorf("last %v, %v", last, err)
	}
	for range 2 {
		if err := s.Tell(ctx, "bob@served.test", many[1:]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetLast(ctx, "served.test", at); err != nil {
		t.Fatal(err)
	}
	if err := s.Use(ctx, "token", at); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	told := func(rcpt string, want int) {
		t.Helper()
		if got, err := s.Told(ctx, rcpt, many); err != nil || len(got) != want || got[many[0]] {
			t.Errorf("%s: %d, %v, want %d", rcpt, len(got), err, want)
		}
	}
	told("bob@served.test", len(many)-1)
	told("eve@served.test", 0)
	if last, err := s.Last(ctx, "served.test"); err != nil || !last.Equal(at) {
		t.Errorf("last %v, %v", last, err)
	}
	used := func(token string, want bool) {
		t.Helper()
		if got, err := s.Used(ctx, token); err != nil || got != want {
			t.Errorf("%s used: %v, %v", token, got, err)
		}
	}
	used("token", true)
	used("toke", false)
	if err := s.Expire(ctx, many[11].Time(), at); err != nil {
		t.Fatal(err)
	}
	told("bob@served.test", len(many)-11)
	used("token", true)
	if err := s.Expire(ctx, many[11].Time(), at.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	used("token", false)
}
