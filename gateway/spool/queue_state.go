package spool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// The state of a message: a line with the CRC-32C and the number of octets of what follows, and JSON.
const (
	stateForm = "gatepost-spool-state 1 %08x %08d\n"
	stateHead = len("gatepost-spool-state 1 12345678 12345678\n")
	maxState  = 8 << 20
)

// state is what became of a message until now. The zero value is that of one that just came. It is lost without harm but
// for a second delivery.
type state struct {
	Attempts int       `json:"attempts,omitempty"`
	Last     time.Time `json:"last,omitzero"` // of the attempts
	Next     time.Time `json:"next,omitzero"`
	Said     string    `json:"said,omitempty"` // why it is still here
	NextHop  string    `json:"next_hop,omitempty"`
	Held     bool      `json:"held,omitempty"`
	Dead     bool      `json:"dead,omitempty"`
	Route    string    `json:"route,omitempty"` // instead of the envelope's
	Since    time.Time `json:"since,omitzero"`  // from when on its lifetime counts, instead of when it arrived
	Fault    bool      `json:"fault,omitempty"` // the last attempt broke, so that it is tried again once the route is well
	Rcpts    []mark    `json:"rcpts,omitempty"` // in the order of the envelope; nil: nothing is known of any
}

// mark is what became of one recipient.
type mark struct {
	End     End           `json:"end,omitempty"`
	Reply   gateway.Reply `json:"reply,omitzero"` // the last one
	NextHop string        `json:"next_hop,omitempty"`
	At      time.Time     `json:"at,omitzero"`
	Expired bool          `json:"expired,omitempty"` // it failed since its time was over

	told bool // its end was told in this process, or before it
}

// End is what became of a recipient.
type End uint8

// The ends of a recipient.
const (
	Pending  End = iota // not yet delivered
	Done                // a next hop took the message for it
	Failed              // refused, or its time is over; whoever sent it is not told yet
	Notified            // the same, and a notice is on its way
	DeadEnd             // the same, and nobody may be told: a person has to look
)

// String returns the name.
func (e End) String() string { return nameOf(endNames(), e) }

// MarshalText writes the name.
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads a name.
func (e *End) UnmarshalText(b []byte) error { return parseName(endNames(), "end", b, e) }

func endNames() []string { return []string{"pending", "done", "failed", "notified", "dead"} }

func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%d", uint8(v))
}

func parseName[T ~uint8](names []string, what string, b []byte, v *T) error {
	for i, n := range names {
		if n == string(b) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s: %q is none", what, gateway.CleanText(string(b), 40))
}

// marks makes room for what becomes of each of n recipients.
func (s *state) marks(n int) []mark {
	if len(s.Rcpts) != n {
		s.Rcpts = make([]mark, n)
	}
	return s.Rcpts
}

// count returns how many of n recipients have an end.
func (s *state) count(n int, end End) int {
	if len(s.Rcpts) == 0 {
		if end == Pending {
			return n
		}
		return 0
	}
	c := 0
	for i := range s.Rcpts {
		if s.Rcpts[i].End == end {
			c++
		}
	}
	return c
}

// matters reports a state whose loss would be noticed: a second copy or notice, or mail let go that was to be held.
func (s *state) matters() bool {
	if s.Held || s.Dead || s.Route != "" || !s.Since.IsZero() {
		return true
	}
	for i := range s.Rcpts {
		if s.Rcpts[i].End != Pending {
			return true
		}
	}
	return false
}

// encode writes a state as it lies in its file.
func (s *state) encode() ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	return append(fmt.Appendf(nil, stateForm, crc32.Checksum(text, durable.Castagnoli()), len(text)), text...), nil
}

// parseState reads a state of a message with n recipients. One that ends too early, as one that was not flushed may after
// a power cut, is none: those that matter are flushed. One that cannot have been written by us is a *damage.
func parseState(text []byte, n int) (*state, error) {
	s := new(state)
	text = bytes.TrimRight(text, "\x00")
	var sum uint32
	var length int
	if len(text) < stateHead {
		return s, nil
	}
	body := text[stateHead:]
	if got, err := fmt.Sscanf(string(text[:stateHead]), stateForm, &sum, &length); err != nil || got != 2 {
		return nil, damaged("it does not begin as a state of the spool")
	}
	if len(body) < length {
		return s, nil
	}
	if string(text[:stateHead]) != fmt.Sprintf(stateForm, crc32.Checksum(body, durable.Castagnoli()), len(body)) {
		return nil, damaged("the state has another CRC-32C")
	}
	if err := json.Unmarshal(body, s); err != nil {
		return nil, damaged("the state: %s", limit(err.Error(), 200))
	}
	if len(s.Rcpts) != 0 && len(s.Rcpts) != n || s.Attempts < 0 {
		return nil, damaged("the state is that of another message")
	}
	for i := range s.Rcpts {
		s.Rcpts[i].told = s.Rcpts[i].End != Pending
	}
	return s, nil
}

// readState reads the state of a message; a file that is not there is the zero value.
func readState(name string, n int) (*state, error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return new(state), nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxState {
		return nil, damaged("the state is too long")
	}
	return parseState(text, n)
}
