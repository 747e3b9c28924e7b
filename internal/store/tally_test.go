package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestCount shows that what is counted is what Search lists, each event once, however its day is kept; and that a search for
// domains of recipients finds those and no others.
func TestCount(t *testing.T) { states(t, testCount) }

func testCount(t *testing.T, o Options, settle func(*Log, bool)) {
	var g ids
	l := openLog(t, o)
	from := dayOf(time.Now()).start().Add(-36 * time.Hour)
	domains := []string{"one.example", "sub.one.example", "one.example.net", "two.example"}
	for i := range 60 {
		at := from.Add(time.Duration(rand.IntN(36*60)) * time.Minute)
		e := transaction(&g, at, "ann@sender.example", "bob@"+domains[rand.IntN(4)])
		if i%3 == 0 {
			e.Record.Rcpts = append(e.Record.Rcpts, gateway.RecordRcpt{To: addr("x@" + domains[rand.IntN(4)]), Code: 250})
		}
		if i%7 == 0 {
			e = connection(&g, at, "198.51.100.9", []gateway.Outcome{gateway.Accept, gateway.Drop}[i%2])
			e.Session.Transactions = i % 3
		}
		e.Took = time.Duration(rand.IntN(9)) * time.Millisecond
		write(t, l, e)
		if i%20 == 19 {
			if write(t, l, e); i%40 == 19 { // again: its last word counts
				settle(l, false)
			}
		}
	}
	settle(l, true)
	r := l.Reader()
	for range 10 {
		w := Window{Since: from.Add(time.Duration(rand.IntN(36)) * time.Hour), Until: from.Add(time.Duration(rand.IntN(40)) * time.Hour)}
		res, err := r.Search(context.Background(), Query{Window: w, Limit: MaxLimit})
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, x := range res.Rows {
			want = append(want, fmt.Sprintln(x.ID, x.Time, x.Kind, x.Verdict, x.Reason, x.Check, x.Took, strings.Join(x.Rcpts, " ")))
		}
		if gaps, err := r.Count(context.Background(), w, func(b *Brief) {
			got = append(got, fmt.Sprintln(b.ID, b.Time, b.Kind, b.Verdict, b.Reason, b.Check, b.Took, strings.TrimSpace(b.Rcpts)))
		}); err != nil || gaps != nil {
			t.Fatal(gaps, err)
		}
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%v: counted %d, listed %d", w, len(got), len(want))
		}
		for _, d := range [][]string{{"one.example"}, {"sub.one.example", "TWO.example"}, {"example"}} {
			some, err := r.Search(context.Background(), Query{Window: w, Limit: MaxLimit, Domains: d})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, x := range res.Rows {
				if slices.ContainsFunc(x.Rcpts, func(to string) bool {
					return slices.Contains(d, to[strings.IndexByte(to, '@')+1:]) || d[0] == "sub.one.example" && strings.HasSuffix(to, "@two.example")
				}) {
					n++
				}
			}
			if len(some.Rows) != n {
				t.Errorf("%v of %v: %d, want %d", d, w, len(some.Rows), n)
			}
		}
	}
	e := transaction(&g, time.Now(), "Ann@Sender.example", "Bob@one.example")
	row := RowOf(e)
	if o.Shared != nil {
		row.Node = o.Shared.Node
	}
	write(t, l, e)
	if res, err := r.Search(context.Background(), Query{Window: Window{Since: time.Now().Add(-time.Hour)}, Client: "192.0.2.25", From: "ann@sender.example", To: "bob@one.example"}); err != nil || len(res.Rows) == 0 || fmt.Sprint(res.Rows[0]) != fmt.Sprint(row) {
		t.Errorf("%v, %v, want %v", res, err, row)
	}
}
