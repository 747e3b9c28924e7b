package api

import (
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
)

// LogSearch is what the message log is asked for. Everything that is set must hold.
type LogSearch struct {
	Query     string            `json:"q" doc:"Words and fields as in the console's query box: from: to: ip: subject: check: score:>8 id: verdict: helo:, each with - before it to exclude"`
	From      string            `json:"from" doc:"Sender: an address, a domain, <> for none, or a part of an address"`
	To        string            `json:"to" doc:"Recipient, likewise"`
	Client    string            `json:"client" doc:"Address or network of the client"`
	Subject   string            `json:"subject" doc:"A part of the subject"`
	MessageID string            `json:"message_id" doc:"Message-ID, with or without its brackets"`
	Reason    string            `json:"reason" doc:"Reason word of the verdict"`
	Outcomes  []gateway.Outcome `json:"outcome" doc:"Outcome, exactly: accept, tag, quarantine, defer, reject or drop; any of several"`
	Verdict   string            `json:"verdict" enum:"stopped|accepted|deferred|quarantined|rejected" doc:"Only what became this; stopped is all but accepted"`
	Range     string            `json:"range" enum:"1h|24h|7d|30d" default:"24h" doc:"How far back from now, unless since says so"`
	Since     time.Time         `json:"since" doc:"From when on"`
	Until     time.Time         `json:"until" doc:"Up to when, exclusively"`
	Cursor    string            `json:"cursor" doc:"Where to go on: next of the page before"`
	Limit     int               `json:"limit" min:"1" max:"500" default:"50" doc:"How many rows"`
	Hurry     bool              `json:"hurry" doc:"Do not wait for counts that are still being made"`
}

// LogRanges are the words of Range.
func LogRanges() map[string]time.Duration {
	return map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}
}

// LogPage is a page of rows, the newest first.
type LogPage struct {
	Rows     []LogRow  `json:"rows"`
	Next     string    `json:"next,omitempty"` // cursor of the next page; "" on the last
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Counts   LogCounts `json:"counts"`             // of all that matches, whatever verdict is asked for, as far as Complete says
	Columns  []LogSpan `json:"columns"`            // Counts over the time
	Counting bool      `json:"counting,omitempty"` // the counts are being made, and are more, or newer, when they are asked for again
	Complete bool      `json:"complete"`           // whether Counts are of all of the time; else of what was read back to Reached
	Reached  time.Time `json:"reached,omitzero"`   // how far back it came
	Gaps     []string  `json:"gaps,omitempty"`     // days that could not be read, and why
}

// LogRow is one event in a list.
type LogRow struct {
	ID         gateway.ID        `json:"id"`
	Session    gateway.ID        `json:"session"`
	Time       time.Time         `json:"time"`
	Kind       gateway.EventKind `json:"kind"`
	Class      Class             `json:"class"`
	Client     netip.Addr        `json:"client"`
	Helo       string            `json:"helo,omitempty"`
	From       string            `json:"from"`
	HeaderFrom string            `json:"header_from,omitempty"` // where it differs from From
	Rcpts      []string          `json:"rcpts,omitempty"`       // of these, those that the actor sees
	Size       int64             `json:"size,omitempty"`
	MessageID  string            `json:"message_id,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Verdict    gateway.Outcome   `json:"verdict"` // what became of it in the end, the next hop's refusal included
	Reason     gateway.Reason    `json:"reason,omitempty"`
	Check      string            `json:"check,omitempty"` // that decided; "" where the sum of points did, or nothing
	Score      float64           `json:"score"`
	Policy     string            `json:"policy,omitempty"`
	Reply      string            `json:"reply,omitempty"`
	NextHop    string            `json:"next_hop,omitempty"`
	End        string            `json:"end,omitempty"`
	Took       time.Duration     `json:"took"`            // nanoseconds
	Node       string            `json:"node,omitempty"`  // whose it is, where nodes share one log
	Later      gateway.FateWord  `json:"later,omitempty"` // of mail that was in the spool: the last thing that became of it
}

// Class is what became of mail, as people count it.
type Class string

// The classes. A connection is one that brought no mail, and that was not refused either.
const (
	Accepted    Class = "accepted"
	Deferred    Class = "deferred"
	Quarantined Class = "quarantined"
	Rejected    Class = "rejected"
	Connection  Class = "connection"
)

// Classes are all of them, in the order in which they are shown.
func Classes() []Class { return []Class{Accepted, Deferred, Quarantined, Rejected, Connection} }

// ClassOf is that of an event. A connection whose transactions are counted by themselves brought no mail beside theirs.
func ClassOf(kind gateway.EventKind, o gateway.Outcome, transactions int) Class {
	switch {
	case kind == gateway.ConnectionEvent && transactions > 0:
		return Connection
	case o == gateway.Quarantine:
		return Quarantined
	case o == gateway.Defer:
		return Deferred
	case o > gateway.Defer:
		return Rejected
	case kind == gateway.ConnectionEvent:
		return Connection
	}
	return Accepted
}

// Outcomes are those of the class.
func (c Class) Outcomes() []gateway.Outcome {
	switch c {
	case Quarantined:
		return []gateway.Outcome{gateway.Quarantine}
	case Deferred:
		return []gateway.Outcome{gateway.Defer}
	case Rejected:
		return []gateway.Outcome{gateway.Reject, gateway.Drop}
	}
	return []gateway.Outcome{gateway.Accept, gateway.Tag}
}

// Picks reports whether a word of LogSearch.Verdict picks the class: "" all of them.
func (c Class) Picks(verdict string) bool {
	return verdict == "" || verdict == string(c) || verdict == "stopped" && c != Accepted && c != Connection
}

// LogCounts are how many there are of each class.
type LogCounts struct {
	Accepted    int `json:"accepted"`
	Deferred    int `json:"deferred"`
	Quarantined int `json:"quarantined"`
	Rejected    int `json:"rejected"`
	Connections int `json:"connections"` // that brought no mail, and were not refused
}

// Of is how many there are of a class.
func (n *LogCounts) Of(c Class) *int {
	switch c {
	case Accepted:
		return &n.Accepted
	case Deferred:
		return &n.Deferred
	case Quarantined:
		return &n.Quarantined
	case Rejected:
		return &n.Rejected
	}
	return &n.Connections
}

// Add adds others.
func (n *LogCounts) Add(m *LogCounts) {
	for _, c := range Classes() {
		*n.Of(c) += *m.Of(c)
	}
}

// Total is how many there are.
func (n *LogCounts) Total() int {
	return n.Accepted + n.Deferred + n.Quarantined + n.Rejected + n.Connections
}

// Stopped is how many were not let through.
func (n *LogCounts) Stopped() int { return n.Deferred + n.Quarantined + n.Rejected }

// LogSpan is what came in a piece of time.
type LogSpan struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	LogCounts
}

// LogReference names an event.
type LogReference struct {
	ID string `path:"reference" json:"-" doc:"The reference, as in the refusal, the header X-Gatepost-Trace or the log"`
}

// LogStory is all that is known of a reference.
type LogStory struct {
	ID         gateway.ID       `json:"id"`
	Event      *journal.Story   `json:"event,omitempty"`      // nil of a connection that lasts, of a notice, and of mail that is older than the log
	Connection *journal.Story   `json:"connection,omitempty"` // of a transaction; nil while it lasts
	Within     []*journal.Story `json:"within,omitempty"`     // transactions of a connection
	More       int              `json:"more,omitempty"`       // transactions that Within has no room for
	Fates      []gateway.Fate   `json:"fates,omitempty"`      // what became of it in the spool
	Gaps       []string         `json:"gaps,omitempty"`       // days that could not be read, and why
}

// LogFollow is what a live view of the log is asked for.
type LogFollow struct {
	Query   string `json:"q" doc:"As of log search"`
	Verdict string `json:"verdict" enum:"stopped|accepted|deferred|quarantined|rejected" doc:"Likewise"`
	Last    string `header:"Last-Event-ID" json:"-" doc:"The id of the last event that was seen"`
}

// LogSkipped is sent by a live view in place of rows that it had no time for.
type LogSkipped struct {
	Rows int `json:"rows"`
}

// Domain is what stands behind the last @ of an address.
func Domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// SummaryAsk is what a summary is about.
type SummaryAsk struct {
	Range string `json:"range" enum:"1h|24h|7d|30d" default:"24h" doc:"How far back from now"`
	Hurry bool   `json:"hurry" doc:"Do not wait for counts that are still being made"`
}

// Summary is what came in a time, counted.
type Summary struct {
	Since    time.Time     `json:"since"`
	Until    time.Time     `json:"until"`
	Counts   LogCounts     `json:"counts"`
	Columns  []LogSpan     `json:"columns"`            // the same over the time
	Early    int           `json:"early"`              // connections that were refused before the banner; 0 for whoever sees some domains only
	Reasons  []ReasonCount `json:"reasons"`            // of what was stopped, the most frequent first
	Latency  Latency       `json:"latency"`            // of mail that was let through, from MAIL to the last reply
	Complete bool          `json:"complete"`           // whether all of the time is counted
	Counting bool          `json:"counting,omitempty"` // what is missing is being counted: ask again
	Gaps     []string      `json:"gaps,omitempty"`
}

// ReasonCount is how often mail was stopped for a reason.
type ReasonCount struct {
	Reason gateway.Reason `json:"reason"`
	Check  string         `json:"check,omitempty"`
	N      int            `json:"n"`
}

// Latency is how long mail took: half, and 95 and 99 of a hundred, took at most so long. They are rounded up by at most a sixth.
type Latency struct {
	N   int           `json:"n"`   // messages
	P50 time.Duration `json:"p50"` // nanoseconds
	P95 time.Duration `json:"p95"`
	P99 time.Duration `json:"p99"`
}
