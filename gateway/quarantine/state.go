package quarantine

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"gatepost/gateway"
)

// The state of a message is a file beside it, as soon as there is something to say: a line, a nonce, and JSON that the key
// of the message encrypts.
const (
	stateMagic = "gatepost-vault-state 1\n"
	maxState   = 8 << 20
)

// state is what became of a message. The zero value is that of one that nobody touched.
type state struct {
	Seq      int64    `json:"seq"` // counts changes
	Rcpts    []mark   `json:"rcpts,omitempty"`
	Reported string   `json:"reported,omitempty"`
	Lesson   *Lesson  `json:"lesson,omitempty"`
	Releases int      `json:"releases,omitempty"` // that came to an end
	Out      *outward `json:"out,omitempty"`      // a release that is on its way
}

// mark is what became of one recipient.
type mark struct {
	State State     `json:"state,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Said  string    `json:"said,omitempty"`
}

// outward is a release that was begun: what is needed to find out after a crash how it ended.
type outward struct {
	By    string     `json:"by,omitempty"`
	At    time.Time  `json:"at"`
	Rcpts []int      `json:"rcpts"` // places of those that are Releasing
	Legs  []leg      `json:"legs"`
	Ref   gateway.ID `json:"ref,omitempty"`
	Ham   bool       `json:"ham,omitempty"` // engines learn from it that the message is no spam
}

// leg is the part of a release that goes one way.
type leg struct {
	Route string   `json:"route"`
	Keys  []string `json:"keys"` // of its addresses in the ledger
	Rcpts []int    `json:"rcpts"`
}

// marks makes room for what becomes of each of n recipients.
func (s *state) marks(n int) []mark {
	if len(s.Rcpts) != n {
		s.Rcpts = append(make([]mark, 0, n), s.Rcpts[:min(n, len(s.Rcpts))]...)
		s.Rcpts = s.Rcpts[:n]
	}
	return s.Rcpts
}

// readState reads what became of a message; of one that nobody touched, the zero value.
func readState(name string, aead cipher.AEAD, id gateway.ID, rcpts int) (*state, error) {
	s := new(state)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		s.marks(rcpts)
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxState {
		return nil, damaged("its state is too long")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(text, []byte(stateMagic))
	if !ok || len(rest) < nonceSize {
		return nil, damaged("its state does not begin as one")
	}
	clear, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], about("state", id))
	if err != nil {
		return nil, damaged("its state does not decrypt")
	}
	if err := json.Unmarshal(clear, s); err != nil {
		return nil, damaged("its state cannot be read")
	}
	s.marks(rcpts)
	return s, nil
}

// stateText is the file.
func stateText(s *state, aead cipher.AEAD, id gateway.ID) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	n := make([]byte, nonceSize)
	_, _ = rand.Read(n) // it never fails
	return aead.Seal(append([]byte(stateMagic), n...), n, text, about("state", id)), nil
}

// row is a message as the index knows it.
func row(m *Meta, s *state, key string, stored int64) *Row {
	r := &Row{ID: m.ID, Arrived: m.Arrived, From: m.From.Text, Author: m.Author, Subject: m.Subject, Class: m.Class, Reason: m.Why.Reason,
		Check: m.Why.Check, Score: m.Verdict.Score, Keep: m.Why.Keep, Size: m.Size, Stored: stored, Key: key, Seq: s.Seq, Reported: s.Reported}
	for i := range m.Rcpts {
		to := RowRcpt{Address: m.Rcpts[i].Address.Text, State: s.Rcpts[i].State, At: s.Rcpts[i].At, Said: s.Rcpts[i].Said}
		if i < len(m.Keys) {
			to.Same = same(m.Message, m.Keys[i])
		}
		r.Rcpts = append(r.Rcpts, to)
	}
	return r
}
