package gateway

import (
	"net/netip"
	"time"
)

// Record is all that judging may read. The journal stores exactly it, beside the evidence, so that every verdict can be
// computed again, under the same policy or another. It is plain data and reads back from its JSON unchanged.
type Record struct {
	ID         ID           `json:"id"`
	Session    ID           `json:"session"`
	Time       time.Time    `json:"time"`  // when the transaction, or the connection, began
	Stage      Stage        `json:"stage"` // the last stage of which findings are in it
	Listener   string       `json:"listener,omitempty"`
	Client     netip.Addr   `json:"client"`
	Trusted    bool         `json:"trusted,omitempty"`
	Relay      bool         `json:"relay,omitempty"` // the client was a trusted relay
	TLS        string       `json:"tls,omitempty"`
	Cert       string       `json:"cert,omitempty"` // SHA-256 of the client's certificate; "" for none
	CertKey    string       `json:"cert_key,omitempty"`
	Helo       string       `json:"helo,omitempty"`
	From       Address      `json:"from"`
	Rcpts      []RecordRcpt `json:"rcpts,omitempty"`
	RequireTLS bool         `json:"requiretls,omitempty"` // asked for by REQUIRETLS (RFC 8689)
	Size       int64        `json:"size,omitempty"`
	HeaderFrom string       `json:"header_from,omitempty"`
	Findings   []Finding    `json:"findings"`
}

// RecordRcpt is a recipient as judging sees it.
type RecordRcpt struct {
	To    Address `json:"to"`
	Route string  `json:"route,omitempty"`
	Code  int     `json:"code,omitempty"` // what RCPT was answered; 0 while it is being judged
	// Sent are the addresses that its mail is sent on to, where policy says that it is another; see Recipient.To.
	Sent []Address `json:"sent,omitempty"`
}

// Final returns the addresses that the next hop is told.
func (r *RecordRcpt) Final() []Address {
	if r.Sent != nil {
		return r.Sent
	}
	return []Address{r.To}
}

// NewRecord gathers what judging may read at a stage. It shares the findings with the session and the envelope, and so is
// good until they change.
func NewRecord(stage Stage, s *Session, e *Envelope) *Record {
	r := &Record{ID: s.ID, Session: s.ID, Time: s.Started, Stage: stage, Listener: s.Listener,
		Client: s.Client.Addr(), Trusted: s.Trusted, Relay: s.Relay, TLS: s.TLS.Version, Cert: s.TLS.Certificate, CertKey: s.TLS.Key, Helo: s.Helo.Name}
	if e == nil {
		r.Findings = s.Findings
		return r
	}
	r.ID, r.Time, r.From, r.Size, r.RequireTLS = e.ID, e.Started, e.From, e.Measured.Octets, e.Options.RequireTLS
	r.Rcpts = make([]RecordRcpt, len(e.Rcpts))
	for i := range e.Rcpts {
		r.Rcpts[i] = RecordRcpt{To: e.Rcpts[i].Address, Route: e.Rcpts[i].Route, Code: e.Rcpts[i].Reply.Code, Sent: e.Rcpts[i].To}
	}
	if e.Header != nil {
		r.HeaderFrom = e.Header.Get("From")
	}
	r.Findings = e.behind(s.Findings)
	return r
}

// Find returns the findings of a check.
func (r *Record) Find(check string) []Finding {
	var out []Finding
	for _, f := range r.Findings {
		if f.Check == check {
			out = append(out, f)
		}
	}
	return out
}
