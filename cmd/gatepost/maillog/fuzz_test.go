package maillog

import (
	"net/netip"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
)

// FuzzQuery shows that whatever is typed is answered or refused, and that a filter holds a row against all that the log did not look
// for, each term or its opposite.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "from:a@b", `subject:"a b" -x`, "score:>8", "score:<=-2.5", "ip:192.0.2.0/24", "2001:db8::1", "id:K7Q29-FXM3T-BN5C", "-", "a:b", `"`, "score:nan", "verdict:rejected", "check:rbl"} {
		f.Add(s)
	}
	row := api.LogRow{From: "list@example.org", Rcpts: []string{"one@served.test"}, Client: netip.MustParseAddr("192.0.2.7"), Subject: "An offer", Class: api.Rejected, Reason: gateway.SpamScore, Score: 16.5}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := readFilter(&api.LogSearch{Query: s, Range: "24h"}, time.Now())
		if err != nil {
			if q != nil {
				t.Fatal("a filter beside an error")
			}
			return
		}
		all := true
		for i := range q.terms {
			all = all && (q.terms[i].asked || q.terms[i].holds(&row) != q.terms[i].not)
		}
		if q.matches(&row) != all {
			t.Errorf("%q: %v", s, all)
		}
	})
}
