package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Format is the version of the document: a number that grows when a field changes its meaning. Fields are added without.
const Format = 1

// Document is what a hook is told. Fields that say nothing are left out.
type Document struct {
	Format   int         `json:"format"`
	Probe    bool        `json:"probe,omitempty"` // there is no message: only an answer is wanted
	ID       string      `json:"id,omitempty"`    // the reference of the transaction
	Received time.Time   `json:"received,omitzero"`
	Host     string      `json:"host,omitempty"` // our own name
	Client   Peer        `json:"client,omitzero"`
	From     string      `json:"from"` // the reverse-path; "" for the null one
	To       []string    `json:"to,omitempty"`
	Size     int64       `json:"size,omitempty"` // octets of the message
	Auth     []Auth      `json:"auth,omitempty"`
	Findings []Finding   `json:"findings,omitempty"` // of the checks before
	Header   [][2]string `json:"header,omitempty"`   // names and values as they came, folded
	Parts    []Part      `json:"parts,omitempty"`
	Message  []byte      `json:"message,omitempty"` // base64
	Cut      bool        `json:"cut,omitempty"`     // Message is only its beginning
}

// Peer is who brings the message.
type Peer struct {
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"` // verified reverse name
	Helo    string `json:"helo,omitempty"`
	TLS     string `json:"tls,omitempty"` // version; "" in clear
	Cipher  string `json:"cipher,omitempty"`
}

// Auth is one result of SPF, DKIM, DMARC or ARC, as Authentication-Results has it.
type Auth struct {
	Method string `json:"method"`
	Result string `json:"result"`
	Domain string `json:"domain,omitempty"`
}

// Finding is what a check of ours saw.
type Finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
}

// Part is one part of the message with content of its own.
type Part struct {
	Path   string   `json:"path"`
	Type   string   `json:"type"`
	Names  []string `json:"names,omitempty"`
	Octets int64    `json:"octets"`
	SHA256 string   `json:"sha256,omitempty"` // of the decoded content, in hexadecimal; none of a text that is shown
}

// Words of an answer.
const (
	Pass    = "pass"
	Fail    = "fail"
	Unknown = "unknown"
)

// Answer is what a hook says.
type Answer struct {
	Result   string     `json:"result"`             // pass, fail or unknown
	Score    float64    `json:"score,omitempty"`    // points on SpamAssassin's scale, from -100 to 100
	Text     string     `json:"text,omitempty"`     // why, in a few words; a sender may be told them
	Hint     string     `json:"hint,omitempty"`     // what it would do: score, tag, quarantine, defer or reject
	Evidence []Evidence `json:"evidence,omitempty"` // for people; at most 20

	Duration time.Duration `json:"-"`
}

// Evidence is one thing that people are shown.
type Evidence struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Bounds of an answer.
const (
	maxScore    = 100
	maxText     = 200
	maxEvidence = 20
	maxName     = 40
)

// parseAnswer reads an answer: one object, with known fields only. Texts are made printable and cut.
func parseAnswer(text []byte) (Answer, error) {
	var a Answer
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrReply, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Answer{}, fmt.Errorf("%w: octets behind it", ErrReply)
	}
	if a.Result != Pass && a.Result != Fail && a.Result != Unknown {
		return Answer{}, fmt.Errorf("%w: result %.40q", ErrReply, a.Result)
	}
	switch a.Hint {
	case "", "score", "tag", "quarantine", "defer", "reject":
	default:
		return Answer{}, fmt.Errorf("%w: hint %.40q", ErrReply, a.Hint)
	}
	if a.Score > maxScore || a.Score < -maxScore {
		return Answer{}, fmt.Errorf("%w: score %g", ErrReply, a.Score)
	}
	if len(a.Evidence) > maxEvidence {
		return Answer{}, fmt.Errorf("%w: %d pieces of evidence", ErrReply, len(a.Evidence))
	}
	a.Text = printable(a.Text, maxText)
	for i := range a.Evidence {
		e := &a.Evidence[i]
		e.Name, e.Text = printable(e.Name, maxName), printable(e.Text, maxText)
	}
	return a, nil
}

// printable makes a short text out of what a server said.
func printable(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), most)])
}
