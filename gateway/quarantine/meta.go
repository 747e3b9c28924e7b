package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost/gateway"
)

// Meta is all that is kept of a message besides its octets. It is encrypted with them.
type Meta struct {
	ID       gateway.ID     `json:"id"`
	Arrived  time.Time      `json:"arrived"`
	From     mailbox        `json:"from"`
	Mail     mailOptions    `json:"mail,omitzero"`
	Rcpts    []rcpt         `json:"rcpts"`
	Client   gateway.Client `json:"client,omitzero"`
	Size     int64          `json:"size"`
	EightBit bool           `json:"eight_bit,omitempty"`
	UTF8     bool           `json:"utf8,omitempty"`

	Header int      `json:"header"`          // octets of the header section, without the empty line
	Cut    [][2]int `json:"cut,omitempty"`   // what of it does not go out
	Trace  string   `json:"trace,omitempty"` // our fields, for the day on which it goes out

	Message string   `json:"message,omitempty"` // its name in the ledger, and those of Rcpts
	Keys    []string `json:"keys,omitempty"`

	Subject   string `json:"subject,omitempty"` // as the domain's policy lets it be kept
	Author    string `json:"author,omitempty"`  // of the field From
	MessageID string `json:"message_id,omitempty"`

	Class   Class                `json:"class"`
	Why     gateway.Decision     `json:"why"` // of the gravest of the recipients
	Policy  string               `json:"policy,omitempty"`
	Verdict *gateway.Verdict     `json:"verdict"`
	Record  *gateway.Record      `json:"record"`
	Proof   [][]gateway.Evidence `json:"evidence,omitempty"` // of each finding of the record, in their order
}

// mailbox is a gateway.Address, each part of it as it was parsed: nothing is worked out a second time.
type mailbox struct {
	Text   string `json:"text"`
	Local  string `json:"local,omitempty"`
	Domain string `json:"domain,omitempty"`
	UTF8   bool   `json:"utf8,omitempty"`
}

type mailOptions struct {
	Size     int64  `json:"size,omitempty"`
	EightBit bool   `json:"eight_bit,omitempty"`
	UTF8     bool   `json:"utf8,omitempty"`
	Return   string `json:"ret,omitempty"`
	EnvID    string `json:"envid,omitempty"`

	RequireTLS bool `json:"requiretls,omitempty"`
}

type rcpt struct {
	Address  mailbox  `json:"address"`
	Notify   []string `json:"notify,omitempty"`
	Original string   `json:"orcpt,omitempty"`
	Route    string   `json:"route,omitempty"`
	Verified bool     `json:"verified,omitempty"`
}

// Limits of what is kept for people to read.
const (
	maxText   = 1000
	maxAuthor = 320
)

// newMeta gathers what is to be known of a message. It refuses what would not come back as it is.
func newMeta(k *gateway.Keeping, rcpts []gateway.Recipient, keys []string) (*Meta, error) {
	e := k.Envelope
	m := &Meta{ID: e.ID, Arrived: e.Started.UTC().Round(0), From: mailbox(e.From), Mail: mailOptions(e.Options),
		Client: gateway.Client{Address: e.Session.Client, Helo: gateway.CleanText(e.Session.Helo.Name, 255), ESMTP: e.Session.Helo.Extended,
			Name: gateway.CleanText(reverse(e), 255)},
		Size: e.Body.Size(), EightBit: e.Measured.EightBit, UTF8: e.Options.UTF8,
		Header: len(e.Header.Raw), Cut: k.Cut, Trace: string(k.Trace), Message: k.Message, Keys: keys,
		Subject: limit(e.LoggedSubject(), maxText), Author: author(e), MessageID: limit(gateway.CleanText(e.Header.Get("Message-ID"), maxAuthor), maxAuthor),
		Verdict: k.Verdict, Record: gateway.NewRecord(gateway.Data, e.Session, e)}
	if m.Arrived.IsZero() {
		m.Arrived = time.Now().UTC().Round(0)
	}
	if p := e.Session.Snapshot.Policy; p != nil {
		m.Policy = p.Version
	}
	for i := range m.Record.Findings {
		m.Proof = append(m.Proof, m.Record.Findings[i].Evidence)
	}
	for i := range rcpts {
		r := &rcpts[i]
		m.Rcpts = append(m.Rcpts, rcpt{Address: mailbox(r.Address), Notify: r.Options.Notify, Original: r.Options.Original, Route: r.Route, Verified: r.Verified})
	}
	m.Why, m.Class = gravest(k, rcpts, m.Record)
	return m, m.check(e.ID)
}

// author is the address of the field From, as it stands there; not where a domain wants no subject to be kept.
func author(e *gateway.Envelope) string {
	return limit(gateway.CleanText(e.Header.Get("From"), maxAuthor), maxAuthor)
}

// reverse is the verified name of the client.
func reverse(e *gateway.Envelope) string {
	if name := gateway.Evident(e.Findings, gateway.EvidenceReverse); name != "" {
		return name
	}
	return gateway.Evident(e.Session.Findings, gateway.EvidenceReverse)
}

func limit(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	for len(text) > most {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// check refuses what cannot have been kept, above all what must never come to be written to a next hop.
func (m *Meta) check(id gateway.ID) error {
	switch {
	case m.ID == 0 || m.ID != id:
		return fmt.Errorf("what is known is of message %v", m.ID)
	case len(m.Rcpts) == 0:
		return errors.New("no recipient")
	case m.Size < 0 || m.Header < 0 || int64(m.Header) > m.Size:
		return errors.New("a header section that is longer than the message")
	case !m.From.plain() || !plain(m.Mail.EnvID) || !plain(m.Mail.Return):
		return errors.New("the reverse-path cannot be written")
	case m.Verdict == nil || m.Record == nil:
		return errors.New("no verdict")
	}
	at := 0
	for _, c := range m.Cut {
		if c[0] < at || c[1] < c[0] || c[1] > m.Header {
			return errors.New("a part of the header section that is none")
		}
		at = c[1]
	}
	for i := range m.Rcpts {
		r := &m.Rcpts[i]
		if r.Address.Text == "" || !r.Address.plain() || !plain(r.Original) || !plain(strings.Join(r.Notify, "")) {
			return fmt.Errorf("recipient %d cannot be written", i)
		}
	}
	return nil
}

func (m *mailbox) plain() bool { return plain(m.Text) && utf8.ValidString(m.Local) && plain(m.Domain) }

// plain reports text that can be part of a command, and comes back from JSON as it is.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// same names a message and one of its recipients, so that the retry of a sender is known; "" for mail that has no name.
func same(message, key string) string {
	if message == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(message + "\x00" + key))
	return hex.EncodeToString(sum[:16])
}

// gravest is the decision that is told of a message, and its class: that of the gravest thing that was found in it, whatever
// decided.
func gravest(k *gateway.Keeping, rcpts []gateway.Recipient, r *gateway.Record) (why gateway.Decision, class Class) {
	why, first := k.Verdict.Decision, true
	why.Keep = 0
	keep, long := time.Duration(0), false // what each of them is to be kept for, at most
	for i := range k.Envelope.Rcpts {
		to := &k.Envelope.Rcpts[i]
		if i >= len(k.Verdict.Rcpts) || !slices.ContainsFunc(rcpts, func(r gateway.Recipient) bool { return r.Address == to.Address }) {
			continue
		}
		d := k.Verdict.Rcpts[i]
		keep, long = max(keep, d.Keep), long || d.Keep == 0
		if c := classOf(d.Reason); first || c > class {
			why, class, first = d, c, false
		}
	}
	if why.Keep = keep; long {
		why.Keep = 0
	}
	if why.Outcome != gateway.Quarantine {
		why.Outcome = gateway.Quarantine
	}
	for i := range r.Findings {
		switch f := &r.Findings[i]; f.Result {
		case gateway.Fail:
			class = max(class, classOf(f.Reason))
		case gateway.Unknown:
			class = max(class, unknownClass(f))
		}
	}
	return why, class
}
