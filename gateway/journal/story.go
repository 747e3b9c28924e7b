package journal

import (
	"encoding/json"
	"fmt"
	"time"

	"gatepost/gateway"
)

// Story is an event as `trace --json` tells it: all of it, in one object.
type Story struct {
	Kind      gateway.EventKind    `json:"kind"`
	ID        gateway.ID           `json:"id"`
	Why       string               `json:"why"`
	Record    *gateway.Record      `json:"record"`
	Verdict   *gateway.Verdict     `json:"verdict"`
	Policy    string               `json:"policy"`
	Reply     gateway.Reply        `json:"reply"`
	Took      time.Duration        `json:"took"` // nanoseconds
	Session   *gateway.Summary     `json:"session"`
	Subject   string               `json:"subject,omitempty"`
	MessageID string               `json:"message_id,omitempty"`
	Relayed   *gateway.Relayed     `json:"relayed,omitempty"`
	Spooled   string               `json:"spooled,omitempty"` // why it went to the spool
	Again     bool                 `json:"again,omitempty"`   // delivered at an earlier attempt
	Replies   []gateway.Reply      `json:"replies,omitempty"` // what each RCPT was answered
	Removed   []string             `json:"removed,omitempty"`
	Edits     []string             `json:"edits,omitempty"`
	ScannedBy []string             `json:"scanned_by,omitempty"`
	Evidence  [][]gateway.Evidence `json:"evidence,omitempty"` // of each finding of the record, in their order
	Later     []gateway.Fate       `json:"later,omitempty"`    // what became of it in the spool
	Node      string               `json:"node,omitempty"`     // whose it is, where nodes share one log
}

// NewStory tells of an event; it shares what the event holds. What is not of the event is for the caller to add: Later, Node.
func NewStory(e *gateway.Event) *Story {
	return &Story{Kind: e.Kind, ID: e.Record.ID, Why: Why(e), Record: e.Record, Verdict: &e.Verdict, Policy: e.Policy, Reply: e.Reply,
		Took: e.Took, Session: &e.Session, Subject: e.Subject, MessageID: e.MessageID, Relayed: e.Relayed, Spooled: e.Spooled, Again: e.Again, Replies: e.Replies,
		Removed: e.Removed, Edits: e.Edits, ScannedBy: e.ScannedBy, Evidence: e.Evidence}
}

// Event is the way back, for who asked a daemon for a story and shows it with Render.
func (s *Story) Event() (*gateway.Event, error) {
	if s.Record == nil || s.Verdict == nil || s.Session == nil {
		return nil, fmt.Errorf("story: no record, verdict or session in it")
	}
	return &gateway.Event{Kind: s.Kind, Record: s.Record, Verdict: *s.Verdict, Policy: s.Policy, Reply: s.Reply, Took: s.Took,
		Session: *s.Session, Subject: s.Subject, MessageID: s.MessageID, Relayed: s.Relayed, Spooled: s.Spooled, Again: s.Again, Replies: s.Replies,
		Removed: s.Removed, Edits: s.Edits, ScannedBy: s.ScannedBy, Evidence: s.Evidence}, nil
}

// JSON returns an event as one object on one line, with its line end.
func JSON(e *gateway.Event) ([]byte, error) {
	b, err := json.Marshal(NewStory(e))
	if err != nil {
		return nil, fmt.Errorf("story: %w", err)
	}
	return append(b, '\n'), nil
}
