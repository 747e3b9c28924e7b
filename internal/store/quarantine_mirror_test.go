package store

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/lab"
)

// keptRow is a message of a test.
func keptRow(id gateway.ID, to string) *quarantine.Row {
	return &quarantine.Row{ID: id, Arrived: time.UnixMilli(int64(id)).UTC(), From: "ann@sender.example", Stored: 10, Rcpts: []quarantine.RowRcpt{{Address: to}}}
}

// keptNames are the numbers, nodes and subjects of messages.
func keptNames(rows []quarantine.Row, err error) string {
	var out []string
	for i := range rows {
		out = append(out, strings.TrimSpace(fmt.Sprint(uint64(rows[i].ID), rows[i].Node, " ", rows[i].Subject)))
	}
	if err != nil {
		out = append(out, err.Error())
	}
	return strings.Join(out, ", ")
}

// mirror is the index of a node that tells a shared one, and its running.
func mirror(t *testing.T, own *Quarantine, url, node string) *Mirror {
	t.Helper()
	q := must1(NewSharedQuarantine(&Shared{URL: url, Node: node}))
	m := NewMirror(own, q, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; _ = q.Close() })
	return m
}

func ownFile(t *testing.T) *Quarantine {
	t.Helper()
	own := must1(OpenQuarantine(t.Context(), filepath.Join(t.TempDir(), "quarantine.db"), nil))
	t.Cleanup(func() { _ = own.Close() })
	return own
}

// TestQuarantineMirror shows two nodes: each sees what the other keeps, as it is and by its rights, what was there before and what
// changes, and a node that is gone for good is forgotten.
func TestQuarantineMirror(t *testing.T) {
	o := sharedLog(t)
	own := ownFile(t)
	if err := own.Put(t.Context(), keptRow(7, "bob@one.example")); err != nil { // before anybody shared anything
		t.Fatal(err)
	}
	stale := sharedKept(t, o, "mx1")
	for _, r := range []*quarantine.Row{keptRow(3, "gone@one.example"), keptRow(7, "old@one.example")} {
		r.Seq = 1
		if err := stale.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	a, b := mirror(t, own, o.URL, "mx1"), mirror(t, ownFile(t), o.URL, "mx2")
	settle := func() {
		t.Helper()
		for _, m := range []*Mirror{a, b} {
			if err := m.Settle(bounded30(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle()
	if got := keptNames(b.Others(t.Context(), &quarantine.Filter{})); got != "7mx1" {
		t.Errorf("at the start: %s", got)
	}
	row := keptRow(8, "carol@two.example")
	row.Subject = "bad \x00 and \xff"
	for _, err := range []error{a.Put(t.Context(), row), a.Put(t.Context(), keptRow(9, "dave@one.example")), a.Delete(t.Context(), []gateway.ID{9}), b.Put(t.Context(), keptRow(10, "bob@one.example"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	settle()
	for what, tt := range map[string]struct {
		m    *Mirror
		f    quarantine.Filter
		want string
	}{
		"all":            {b, quarantine.Filter{}, "8mx1 bad \ufffd and \ufffd, 7mx1"},
		"of a domain":    {b, quarantine.Filter{Domains: []string{"one.example"}}, "7mx1"},
		"of none of his": {b, quarantine.Filter{Domains: []string{"ne.example"}}, ""},
		"by number":      {b, quarantine.Filter{IDs: []gateway.ID{8, 10}}, "8mx1 bad \ufffd and \ufffd"},
		"a page":         {b, quarantine.Filter{Before: 8, Limit: 1}, "7mx1"},
		"the other way":  {a, quarantine.Filter{}, "10mx2"},
	} {
		if got := keptNames(tt.m.Others(t.Context(), &tt.f)); got != tt.want {
			t.Errorf("%s: %q, want %q", what, got, tt.want)
		}
	}
	if got := keptNames(a.Find(t.Context(), &quarantine.Filter{})); got != "8 bad \x00 and \xff, 7" {
		t.Errorf("what a vault is answered: %q", got)
	}
	if _, err := b.shared.Forget(t.Context(), "mx1"); err != nil {
		t.Fatal(err)
	}
	if got := keptNames(b.Others(t.Context(), &quarantine.Filter{})); got != "" {
		t.Errorf("of a node that was forgotten: %s", got)
	}
}

// TestQuarantineMirrorAway shows that nobody waits for a server that hangs, or is not there: the node's own index answers, others are
// not asked, and what changed meanwhile, more than is remembered, is told when it is back.
func TestQuarantineMirrorAway(t *testing.T) {
	p := must1(lab.StartPostgres(t.Context(), must1(lab.NewDir())))
	t.Cleanup(func() { _ = p.Stop() })
	own := ownFile(t)
	m := mirror(t, own, must1(p.Database(t.Context(), "kept")), "mx1")
	put := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			began := time.Now()
			if err := m.Put(t.Context(), keptRow(gateway.ID(i), "bob@one.example")); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Fatalf("a message waited %s", took)
			}
		}
	}
	put(1, 5)
	if err := m.Settle(bounded30(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	put(5, 7)
	if got := keptNames(m.Find(t.Context(), &quarantine.Filter{Limit: 1})); got != "6" {
		t.Errorf("its own, of a server that hangs: %s", got)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the failure is told", func() bool { return m.Trouble() != nil })
	if rows, err := m.Others(t.Context(), &quarantine.Filter{}); err == nil {
		t.Errorf("others, of a server that is not there: %v", rows)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Settle(short); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("settled without a server: %v", err)
	}
	if err := m.Delete(t.Context(), []gateway.ID{2}); err != nil {
		t.Fatal(err)
	}
	for i := range mirrorMost + 1 { // without a file's disk under each
		m.note(gateway.ID(1000 + i))
	}
	if waiting, _, over := m.Stats(); waiting > mirrorMost || over == 0 {
		t.Errorf("%d wait, %d times too many", waiting, over)
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is told again", func() bool { return m.Trouble() == nil && !m.waits() })
	if got := keptNames(m.shared.Find(t.Context(), &quarantine.Filter{})); got != "6mx1, 5mx1, 4mx1, 3mx1, 1mx1" {
		t.Errorf("after it was away: %s", got)
	}
}

// TestQuarantineNewer shows that tables of a later version are left alone, and that nodes that make them at once do not get into each
// other's way.
func TestQuarantineNewer(t *testing.T) {
	o := sharedLog(t)
	made := make(chan error)
	for i := range 4 {
		q := must1(NewSharedQuarantine(&Shared{URL: o.URL, Node: fmt.Sprint("mx", i)}))
		defer q.Close()
		go func() { made <- q.Ready(bounded30(t)) }()
	}
	for range 4 {
		if err := <-made; err != nil {
			t.Error(err)
		}
	}
	q := sharedKept(t, o, "mx1")
	must1(q.db.ExecContext(t.Context(), "UPDATE gatepost_quarantine.meta SET version = 99"))
	if err := q.Ready(t.Context()); err != ErrNewer {
		t.Errorf("newer tables: %v", err)
	}
}
