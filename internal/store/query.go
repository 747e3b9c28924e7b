package store

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
)

// Window is a time, from Since up to but without Until; a zero end is open.
type Window struct {
	Since, Until time.Time
}

func (w Window) first() day {
	if w.Since.IsZero() {
		return ""
	}
	return dayOf(w.Since)
}

func (w Window) last() day {
	if w.Until.IsZero() {
		return "9999-12-31"
	}
	return dayOf(w.Until)
}

// ids returns the ids of the window: from the first, up to but without the second.
func (w Window) ids() (low, high int64) {
	high = math.MaxInt64
	if !w.Since.IsZero() {
		low = idAt(w.Since)
	}
	if !w.Until.IsZero() {
		high = idAt(w.Until)
	}
	return low, high
}

func idAt(t time.Time) int64 {
	ms := t.UnixMilli()
	if ms <= 0 {
		return 0
	}
	return min(ms, math.MaxInt64>>20) << 20
}

// minutes returns the minutes that the window touches, the last one included.
func (w Window) minutes() (low, high int64) {
	high = math.MaxInt64
	if !w.Since.IsZero() {
		low = w.Since.Unix() / 60
	}
	if !w.Until.IsZero() {
		high = (w.Until.UnixNano() - 1) / int64(time.Minute)
	}
	return low, high
}

// Query is what to look for. Everything that is set must hold. Texts are compared without regard to case.
type Query struct {
	Window
	// From and To are an address, a domain ("example.org" or "@example.org"), "<>" for the null reverse-path, or a part of
	// an address, with * for anything. From looks at the reverse-path and at the From field. A part is found by reading
	// through all rows of the time.
	From, To  string
	MessageID string            // with or without angle brackets
	Domains   []string          // of a recipient: any of them, exactly; lower-case A-labels
	Client    string            // an address or a network
	Subject   string            // a part of it
	Verdicts  []gateway.Outcome // any of them
	Reason    gateway.Reason
	Before    gateway.ID // only what is older: the id of the last row seen; 0: from the newest
	Limit     int        // rows; 0: DefaultLimit, at most MaxLimit
}

// Limits of a Query.
const (
	DefaultLimit = 50
	MaxLimit     = 10000
)

// ErrQuery says that a query cannot be asked; the text says why.
var ErrQuery = errors.New("log search")

// aboutMail reports whether only transactions can answer.
func (q *Query) aboutMail() bool {
	return q.From != "" || q.To != "" || len(q.Domains) > 0 || q.MessageID != "" || q.Subject != ""
}

// wanted is a query made ready: for SQL where a day has an index, and for reading through the rows of blocks.
type wanted struct {
	low, high          int64 // ids
	mail               bool
	from, to           wantedAddress
	domains            []string // as recipients' keys end in them, with what follows
	messageID, subject string
	reason             string
	verdicts           []gateway.Outcome
	client             bool
	first, last        [16]byte // of the client
}

// wantedAddress is how to look for an address.
type wantedAddress struct {
	how how
	key string
}

// ready checks the query.
func (q *Query) ready() (*wanted, error) {
	w := &wanted{mail: q.aboutMail(), messageID: messageIDKey(q.MessageID), subject: q.Subject, reason: string(q.Reason), verdicts: q.Verdicts}
	if q.MessageID != "" && w.messageID == "" {
		w.messageID = "<>" // which none is
	}
	for _, d := range q.Domains {
		w.domains = append(w.domains, "@"+addressKey(d)+" ")
	}
	w.low, w.high = q.ids()
	if q.Before != 0 {
		w.high = min(w.high, int64(q.Before))
	}
	var err error
	if w.from, err = address(q.From); err != nil {
		return nil, fmt.Errorf("%w: from: %w", ErrQuery, err)
	}
	if w.to, err = address(q.To); err != nil {
		return nil, fmt.Errorf("%w: to: %w", ErrQuery, err)
	}
	if q.Client != "" {
		w.client = true
		w.first, w.last, err = network(q.Client)
	}
	return w, err
}

// The ways to look for an address.
type how int

const (
	anyone how = iota
	exact
	domain
	pattern // with *
	within  // a part
)

// address says how to look for what was typed.
func address(typed string) (wantedAddress, error) {
	key := addressKey(strings.TrimSpace(typed))
	if key == "" {
		return wantedAddress{}, nil
	}
	if key == "<>" {
		return wantedAddress{exact, ""}, nil
	}
	key = strings.TrimSuffix(strings.TrimPrefix(key, "<"), ">")
	at := strings.LastIndexByte(key, '@')
	switch {
	case strings.Contains(key, "*"):
		if len(strings.Trim(key, "*")) < 2 {
			return wantedAddress{}, errors.New("a part of an address needs two characters beside *")
		}
		return wantedAddress{pattern, key}, nil
	case key == "@":
		return wantedAddress{}, errors.New("a domain is missing behind @")
	case at == 0:
		return wantedAddress{domain, strings.TrimSuffix(key[1:], ".")}, nil
	case at > 0:
		return wantedAddress{exact, key}, nil
	case strings.Contains(key, "."):
		return wantedAddress{domain, strings.TrimSuffix(key, ".")}, nil
	case len(key) < 2:
		return wantedAddress{}, errors.New("a part of an address needs two characters")
	}
	return wantedAddress{within, key}, nil
}

// network returns the first and the last address of what was typed, as clientKey writes them.
func network(typed string) (first, last [16]byte, err error) {
	typed = strings.TrimSpace(typed)
	if a, err := netip.ParseAddr(typed); err == nil {
		return a.As16(), a.As16(), nil
	}
	p, err := netip.ParsePrefix(typed)
	if err != nil {
		return first, last, fmt.Errorf("%w: client: %q is neither an address nor a network", ErrQuery, typed)
	}
	first, last = p.Masked().Addr().As16(), p.Masked().Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := bits; i < 128; i++ {
		last[i/8] |= 1 << (7 - i%8)
	}
	return first, last, nil
}
