package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gatepost/internal/versions"
)

// published adds a version behind a head.
func published(t *testing.T, s versions.Store, h versions.Head, n int64, text string) versions.Head {
	t.Helper()
	next, err := s.Change(context.Background(), versions.Change{Expect: h, New: []versions.Version{{Number: n, Time: time.UnixMicro(n).UTC(), Author: "anna", Comment: "ünd?", Kind: versions.Publish, Digest: "d", Text: []byte(text)}}, Back: h.Number})
	must(t, err)
	return next
}

// TestVersions shows that a change is there as a whole on all nodes, or not at all, and that nobody who did not see the head
// changes it.
func TestVersions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx := context.Background()
		s, other := NewVersions(db), NewVersions(again())
		if h, err := s.Head(ctx); err != nil || h != (versions.Head{}) {
			t.Fatalf("empty: %+v %v", h, err)
		}
		if _, err := s.Version(ctx, 1); err != versions.ErrNone {
			t.Errorf("none: %v", err)
		}
		when := time.Now().UTC().Truncate(time.Microsecond)
		two := []versions.Version{{Number: 1, Time: when, Kind: versions.Takeover, Text: []byte("a\x00b")}, {Number: 2, Time: when, Author: "b", Kind: versions.Rollback, Of: 1, Undid: 7, Digest: "x"}}
		h, err := s.Change(ctx, versions.Change{New: two, Confirm: when, Back: 1})
		must(t, err)
		if want := (versions.Head{Number: 2, Epoch: 1, Confirm: when, Back: 1}); h != want {
			t.Errorf("%+v", h)
		}
		if got, err := other.Head(ctx); err != nil || got != h {
			t.Errorf("another node: %+v %v", got, err)
		}
		for i := range two {
			got, err := other.Version(ctx, two[i].Number)
			must(t, err)
			if string(got.Text) != string(two[i].Text) || !got.Time.Equal(when) || got.Author != two[i].Author || got.Kind != two[i].Kind || got.Of != two[i].Of || got.Undid != two[i].Undid || got.Digest != two[i].Digest {
				t.Errorf("%+v, not %+v", got, two[i])
			}
		}
		for name, c := range map[string]versions.Change{
			"old head":        {New: []versions.Version{{Number: 3}}},
			"old epoch":       {Expect: versions.Head{Number: 2}, New: []versions.Version{{Number: 3}}},
			"not ascending":   {Expect: h, New: []versions.Version{{Number: 3}, {Number: 3}}},
			"below the head":  {Expect: h, New: []versions.Version{{Number: 2}}},
			"nothing of both": {Expect: h, New: []versions.Version{{Number: 3}, {Number: 2}}},
		} {
			_, err := s.Change(ctx, c)
			if err == nil || (c.Expect != h) != errors.Is(err, versions.ErrMoved) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := s.Version(ctx, 3); err != versions.ErrNone {
				t.Errorf("%s left a version: %v", name, err)
			}
		}
		confirmed, err := other.Change(ctx, versions.Change{Expect: h})
		must(t, err)
		if want := (versions.Head{Number: 2, Epoch: 2}); confirmed != want {
			t.Errorf("confirmed: %+v", confirmed)
		}
		if _, err := s.Change(ctx, versions.Change{Expect: h}); err != versions.ErrMoved {
			t.Errorf("confirmed twice: %v", err)
		}
	})
}

// TestVersionsRace shows that of several that change the same head at the same time one does.
func TestVersionsRace(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		stores := []*Versions{NewVersions(db), NewVersions(again())}
		var head versions.Head
		for round := range int64(5) {
			errs := make([]error, 6)
			heads := make([]versions.Head, len(errs))
			var group sync.WaitGroup
			for i := range errs {
				group.Go(func() {
					heads[i], errs[i] = stores[i%2].Change(context.Background(), versions.Change{Expect: head, New: []versions.Version{{Number: round + 1, Author: fmt.Sprint(i)}}})
				})
			}
			group.Wait()
			won := 0
			for i, err := range errs {
				if err == nil {
					won++
					head = heads[i]
				} else if !errors.Is(err, versions.ErrMoved) {
					t.Error(err)
				}
			}
			if won != 1 || head.Number != round+1 {
				t.Fatalf("round %d: %d won, %+v", round, won, head)
			}
		}
	})
}

// TestVersionsKept shows that lists go page by page, that a thousand versions stay, and the one to go back to in any case.
func TestVersionsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, _ func() *DB) {
		ctx := context.Background()
		s := NewVersions(db)
		var h versions.Head
		for n := int64(1); n <= 5; n++ {
			h = published(t, s, h, n, fmt.Sprint(n))
		}
		var got []int64
		for before := int64(0); ; {
			page, err := s.List(ctx, before, 2)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, v := range page {
				if v.Text != nil || v.Comment != "ünd?" {
					t.Errorf("%+v", v)
				}
				got, before = append(got, v.Number), v.Number
			}
		}
		if fmt.Sprint(got) != "[5 4 3 2 1]" {
			t.Errorf("%v", got)
		}
		h = published(t, s, h, versionsKept+3, "far")
		if page, err := s.List(ctx, 0, 10); err != nil || len(page) != 3 || page[2].Number != 4 || h.Back != 5 {
			t.Errorf("%+v %v", page, err)
		}
		h = published(t, s, h, 3*versionsKept, "further")
		if page, err := s.List(ctx, 0, 10); err != nil || len(page) != 2 || page[1].Number != h.Back {
			t.Errorf("%+v %v", page, err)
		}
	})
}

// TestDrafts shows that a draft is its owner's, and that what somebody did not see is not written over.
func TestDrafts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx := context.Background()
		s, other := NewVersions(db), NewVersions(again())
		if _, err := s.Draft(ctx, "anna"); err != versions.ErrNone {
			t.Fatalf("%v", err)
		}
		d := versions.Draft{Owner: "anna", Base: 3, Text: []byte("a")}
		seq, err := s.SaveDraft(ctx, &d)
		must(t, err)
		if _, err := other.SaveDraft(ctx, &d); err != versions.ErrMoved {
			t.Errorf("a second draft: %v", err)
		}
		d.Seq, d.Text = seq, []byte("b")
		next, err := other.SaveDraft(ctx, &d)
		must(t, err)
		if next <= seq {
			t.Errorf("%d after %d", next, seq)
		}
		if _, err := s.SaveDraft(ctx, &d); err != versions.ErrMoved {
			t.Errorf("over what was not seen: %v", err)
		}
		got, err := s.Draft(ctx, "anna")
		must(t, err)
		if string(got.Text) != "b" || got.Base != 3 || got.Seq != next || time.Since(got.Time).Abs() > time.Hour {
			t.Errorf("%+v", got)
		}
		if _, err := s.Draft(ctx, "Anna"); err != versions.ErrNone {
			t.Errorf("of another: %v", err)
		}
		must(t, s.DropDraft(ctx, "anna"))
		must(t, s.DropDraft(ctx, "anna"))
		if _, err := s.SaveDraft(ctx, got); err != versions.ErrMoved {
			t.Errorf("one that is gone: %v", err)
		}
		for i := range draftsKept + 5 {
			_, err := s.SaveDraft(ctx, &versions.Draft{Owner: fmt.Sprint("u", i)})
			must(t, err)
		}
		var n int
		must(t, db.Read(ctx, func(tx *Tx) error { return tx.One("SELECT count(*) FROM policy_draft", nil, &n) }))
		if n != draftsKept {
			t.Errorf("%d drafts", n)
		}
	})
}
