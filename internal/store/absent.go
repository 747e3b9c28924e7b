package store

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
)

// absent reports whether no event of a block can match, since a text that each of them must have stands nowhere in it. To look
// for octets costs a hundredth of what it costs to take the block apart: so one sender, recipient, client or Message-ID among
// millions of events that have no index yet is found in the time that it takes to read them. b is a block without its checksum, and
// needles are those of w.
func (w *wanted) absent(b []byte, needles []string) bool {
	for _, needle := range needles {
		if !bytes.Contains(b, []byte(needle)) {
			return true
		}
	}
	return w.subject != "" && !hasFold(b, w.subject)
}

// hasFold reports whether a text stands somewhere in octets, letters of US-ASCII in either case: it goes from one place to the next
// where the text could begin.
func hasFold(b []byte, text string) bool {
	low := lower(text[0])
	high := low
	if low >= 'a' && low <= 'z' {
		high -= 'a' - 'A'
	}
	next := func(from int, c byte) int {
		if i := bytes.IndexByte(b[from:], c); i >= 0 {
			return from + i
		}
		return len(b)
	}
	i, j := next(0, low), next(0, high)
	for {
		at := min(i, j)
		if len(b)-at < len(text) {
			return false
		}
		if foldedAt(b[at:], text) {
			return true
		}
		if i == at {
			i = next(at+1, low)
		}
		if j == at {
			j = next(at+1, high)
		}
	}
}

// needles are texts of which each event that matches has every one. What is looked for in any case is not among them.
func (w *wanted) needles() (out []string) {
	out = append(out, w.messageID, w.reason)
	for _, a := range []*wantedAddress{&w.from, &w.to} {
		switch a.how {
		case exact, domain, within:
			out = append(out, a.key)
		case pattern:
			out = append(out, strings.Split(a.key, "*")...)
		}
	}
	if len(w.domains) == 1 {
		out = append(out, w.domains[0])
	}
	if w.client && w.first == w.last {
		out = append(out, string(netip.AddrFrom16(w.first).Unmap().AsSlice())) // the end of what stands for it in either form
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

func foldedAt(b []byte, text string) bool {
	for i := range len(text) {
		if lower(b[i]) != lower(text[i]) {
			return false
		}
	}
	return true
}
