package store

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestAbsent shows that no block is passed over that has an event which matches, whatever is looked for, and that blocks that
// have none are.
func TestAbsent(t *testing.T) {
	var g ids
	r, now := rand.New(rand.NewPCG(4, 2)), time.Now()
	passed, held := 0, 0
	for range 60 {
		var events []*gateway.Event
		var block []byte
		for range 1 + r.IntN(12) {
			e := odd(r, &g, now)
			c := columnsOf(e, 0, nil)
			block, events = c.append(block), append(events, e)
		}
		for range 60 {
			e := events[r.IntN(len(events))]
			if r.IntN(2) == 0 {
				e = odd(r, &g, now) // of another block
			}
			q := Query{}
			switch r.IntN(9) {
			case 0:
				q.From = e.Record.From.Text
			case 1:
				q.From = e.Record.From.Domain
			case 2:
				q.From = "u*" + e.Record.From.Domain
			case 3:
				q.To = e.Record.Rcpts[r.IntN(len(e.Record.Rcpts))].To.Text
			case 4:
				q.To = "one.example"
			case 5:
				q.MessageID = e.MessageID
			case 6:
				q.Reason, q.Domains = e.Verdict.Reason, []string{"One.example"}
			case 7:
				if a := e.Record.Client.WithZone(""); a.IsValid() {
					q.Client = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String()
				}
			}
			if r.IntN(9) == 0 {
				q.Subject = []string{e.Subject, "INVOICE", "voice 47", "vOICE 48", "\x00", "711"}[r.IntN(6)]
			}
			w, err := q.ready()
			if err != nil {
				continue // such as an address of octets that are none
			}
			matches := false
			if err := eachRow(sealed(append(make([]byte, 4), block...)), func(c *columns) bool {
				matches = matches || w.matches(c)
				return true
			}); err != nil {
				t.Fatal(err)
			}
			switch absent := w.absent(block, w.needles()); {
			case absent && matches:
				t.Fatalf("%+v: the block has one that matches, and is passed over", q)
			case absent:
				passed++
			default:
				held++
			}
		}
	}
	if passed < 100 || held < 100 {
		t.Errorf("%d passed over, %d looked into", passed, held)
	}
}
