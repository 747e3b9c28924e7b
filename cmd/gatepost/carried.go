package main

import (
	"strconv"
	"strings"

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
	add(c.Size > 0, "SIZE "+strconv.FormatInt(c.Size, 10))
	add(c.EightBit, "8BITMIME")
	add(c.UTF8, "SMTPUTF8")
	add(c.Chunking, "CHUNKING")
	add(c.DSN, "DSN")
	add(h.TLS != "", h.TLS)
	add(h.TLS == "", "in clear")
	return strings.Join(words, " ")
}
