package rspamd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
)

const (
	maxHead    = 16 << 10  // octets of a reply's header section
	maxBody    = 1 << 20   // octets of a reply
	maxSymbols = 1000      // of a report
	maxName    = 128       // octets of a symbol's name, and of an action
	maxOptions = 8         // options of a symbol that are kept
	maxOption  = 200       // octets of one
	maxNumber  = 1_000_000 // of a score, either way
)

// Actions of rspamd. An operator of rspamd can define others.
const (
	NoAction       = "no action"
	Greylist       = "greylist"
	AddHeader      = "add header"
	RewriteSubject = "rewrite subject"
	SoftReject     = "soft reject"
	Reject         = "reject"
	Quarantine     = "quarantine"
	Discard        = "discard"
)

// Symbol is one of rspamd's rules that hit.
type Symbol struct {
	Name    string
	Score   float64  // points
	Options []string // what it saw; printable, at most 8 of at most 200 octets
}

// Report is what rspamd thinks of a message.
type Report struct {
	Action   string  // what rspamd itself would do
	Score    float64 // points in all
	Required float64 // from how many points it would reject
	Header   float64 // from how many it would add a header, which is its word for spam; 0 where it does not tell
	// Skipped says that no rules ran: its settings let the message through, or something decided before them.
	Skipped bool
	Symbols []Symbol // by name
	Text    string   // what it would tell the sender; printable
	Version string   // of rspamd: "3.4"; "" for not told
	// Complete says that the symbols make up the score. Only then may points of single ones be taken off it.
	Complete bool
}

// Spam says that rspamd takes the message for spam.
func (r *Report) Spam() bool {
	return slices.Contains([]string{AddHeader, RewriteSubject, Reject, Quarantine, Discard}, r.Action)
}

// statusError is a reply with another status than a result has.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("rspamd: refused with %d: %s", e.code, e.text)
}

// readBody reads the whole body of a reply, which must say how long it is or be sent in chunks.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxBody {
		return nil, fmt.Errorf("%w: %d octets", ErrReply, resp.ContentLength)
	}
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		return nil, fmt.Errorf("%w: nothing says where it ends", ErrReply)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReply, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: over %d octets", ErrReply, maxBody)
	}
	return body, nil
}

// wire is a reply of checkv2. What is not named here is ignored: what would be changed in the message among it.
type wire struct {
	Skipped    *bool              `json:"is_skipped"`
	Score      *float64           `json:"score"`
	Required   *float64           `json:"required_score"`
	Action     *string            `json:"action"`
	Thresholds map[string]float64 `json:"thresholds"`
	Symbols    map[string]struct {
		Name    string   `json:"name"`
		Score   *float64 `json:"score"`
		Options []string `json:"options"`
	} `json:"symbols"`
	Messages map[string]json.RawMessage `json:"messages"`
}

// parseReport reads the reply of checkv2. Whatever is not one object with a score, a threshold and an action is an error.
func parseReport(text []byte) (Report, error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&w); err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrReply, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Report{}, fmt.Errorf("%w: octets behind it", ErrReply)
	}
	if w.Score == nil || w.Required == nil || w.Action == nil || w.Symbols == nil || *w.Action == "" || !number(*w.Score) || !number(*w.Required) {
		return Report{}, fmt.Errorf("%w: without a score, a threshold, symbols or an action", ErrReply)
	}
	if len(*w.Action) > maxName || len(w.Symbols) > maxSymbols {
		return Report{}, fmt.Errorf("%w: %d symbols, action %.40q", ErrReply, len(w.Symbols), *w.Action)
	}
	r := Report{Action: printable(*w.Action), Score: *w.Score, Required: *w.Required, Skipped: w.Skipped != nil && *w.Skipped}
	if t := w.Thresholds[AddHeader]; t > 0 && number(t) {
		r.Header = t
	}
	var said string
	if json.Unmarshal(w.Messages["smtp_message"], &said) == nil {
		r.Text = printable(said)
	}
	sum := 0.0
	for name, s := range w.Symbols {
		if s.Score == nil || !number(*s.Score) || !isName(name) || s.Name != "" && s.Name != name {
			return Report{}, fmt.Errorf("%w: symbol %.80q", ErrReply, name)
		}
		sum += *s.Score
		one := Symbol{Name: name, Score: *s.Score}
		for _, o := range s.Options[:min(len(s.Options), maxOptions)] {
			one.Options = append(one.Options, printable(o))
		}
		r.Symbols = append(r.Symbols, one)
	}
	slices.SortFunc(r.Symbols, func(a, b Symbol) int { return strings.Compare(a.Name, b.Name) })
	r.Complete = math.Abs(sum-r.Score) < 0.01
	return r, nil
}

func number(n float64) bool { return n <= maxNumber && n >= -maxNumber }

// isName says that a text can be a symbol: printable, without a space, and not endless.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == '=' })
}

// said is the error that a reply tells, else its status.
func said(body []byte, status string) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return e.Error
	}
	return status
}

// version is what "rspamd/3.4" tells.
func version(server string) string {
	v, ok := strings.CutPrefix(server, "rspamd/")
	if !ok || len(v) > 32 {
		return ""
	}
	return printable(v)
}

// printable makes a short text out of what a server said.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxOption)])
}
