package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway/relay"
)

// carried tells what a next hop offers, in the words of its EHLO.
func carried(h *relay.Health) string {
	var words []string
	add := func(yes bool, word string) {
		if yes {
			words = append(words, word)
		}
	}
	c := &h.Carries
	add(h.LMTP, "LMTP")
	add(c.Size > 0, "SIZE "+strconv.FormatInt(c.Size, 10))
	add(c.EightBit, "8BITMIME")
	add(c.UTF8, "SMTPUTF8")
	add(c.Chunking, "CHUNKING")
	add(c.DSN, "DSN")
	add(c.RequireTLS, "REQUIRETLS")
	add(h.TLS != "", h.TLS)
	add(h.TLS == "" && !h.LearnedAt.IsZero(), "in clear")
	add(h.NoDANE != "", "(no DANE: "+h.NoDANE+")")
	add(!h.RecalledAt.IsZero(), "as it said on "+h.RecalledAt.Format(time.DateOnly))
	add(h.User != "", "as "+h.User)
	return strings.Join(words, " ")
}

// pooled tells how busy the connections to a next hop are. What is nothing is left out.
func pooled(h *relay.Health) string {
	out := fmt.Sprintf("%d of %d connections busy, %d idle", h.InUse, h.Pool, h.Idle)
	if h.Starting > 0 {
		out += fmt.Sprintf(", begun with slowly (%d)", h.Starting)
	}
	for _, n := range []struct {
		count uint64
		what  string
	}{{uint64(h.Waiting), "messages wait"}, {uint64(h.Asking), "recipients wait to be asked"}, {h.Busy, "turned away"}} {
		if n.count > 0 {
			out += fmt.Sprintf(", %d %s", n.count, n.what)
		}
	}
	return out
}
