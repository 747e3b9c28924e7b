package maillog

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// Bounds of a question. Counts are of as many rows as are read at most, where the log has no count at hand.
const (
	scanRows   = 4000
	searchTime = 3 * time.Second
)

// Log is the message log with what follows it.
type Log struct {
	Reader *store.Reader
	Tail   *Tail
	counts *counts
	room   chan struct{} // of questions that are being answered
}

// New makes what is asked of a log that is read by r and told by t.
func New(r *store.Reader, t *Tail) *Log {
	return &Log{Reader: r, Tail: t, counts: newCounts(r.CountSince), room: make(chan struct{}, maxQuestions)}
}

func question(name, path, doc string) control.Operation {
	return control.Operation{Name: name, Method: http.MethodGet, Path: path, Doc: doc, Right: access.LogRead}
}

// Search is the operation that searches.
func Search() control.Operation { return question("log search", "/log", "Search the message log") }

// Trace is the one that tells a story.
func Trace() control.Operation {
	return question("trace", "/log/{reference}", "Tell all that is known of a message or a connection")
}

// Follow is the one that sends rows as they come.
func Follow() control.Operation {
	return question("log follow", "/log/live", "Follow the message log: each event is a row, or how many were skipped")
}

// Summary is the one that counts.
func Summary() control.Operation {
	return question("log summary", "/summary", "Count what came, what became of it, why mail was stopped, and how long it took")
}

// Operations are all that can be asked of the log.
func (l *Log) Operations() []control.Operation {
	return []control.Operation{
		control.Define(Search(), within(l, l.search, nil)),
		control.Define(Trace(), within(l, l.story, nil)),
		control.DefineStream(Follow(), l.follow),
		control.Define(Summary(), within(l, l.summary, unsummed)),
	}
}

// asked words what the log says of a question: that it makes no sense is for whoever asked.
func asked(err error) error {
	if errors.Is(err, store.ErrQuery) {
		return &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: "q"}
	}
	return err
}

func gaps(all []store.Gap) (out []string) {
	for _, g := range all {
		out = append(out, cmp.Or(g.Day, "a day")+": "+g.Why)
	}
	return out
}

// rowOf is a row as it is shown.
func rowOf(r *store.Row) api.LogRow {
	return api.LogRow{ID: r.ID, Session: r.Session, Time: r.Time, Kind: r.Kind, Class: api.ClassOf(r.Kind, r.Verdict, r.Transactions), Client: r.Client, Helo: r.Helo, From: r.From,
		HeaderFrom: r.HeaderFrom, Rcpts: r.Rcpts, Size: r.Size, MessageID: r.MessageID, Subject: r.Subject, Verdict: r.Verdict, Reason: r.Reason, Check: r.Check,
		Score: r.Score, Policy: r.Policy, Reply: r.Reply, NextHop: r.NextHop, End: r.End, Took: r.Took, Node: r.Node, Later: r.Later}
}

// readID reads a reference that was typed.
func readID(text, field string) (gateway.ID, error) {
	id, err := gateway.ParseID(text)
	if err != nil {
		return 0, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: field}
	}
	return id, nil
}
