package store

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"gatepost/gateway"
)

// maxEvidence bounds what of an event's evidence is kept, in octets of text; what is beyond is cut with a mark.
const maxEvidence = 64 << 10

// oldStory is an event as the first version kept it: JSON.
type oldStory struct {
	record, verdict, rest, evidence []byte // evidence is nil when there is none
}

// oldRest is of an event what is neither Record, verdict nor evidence, nor a column.
type oldRest struct {
	Policy    string           `json:"policy"`
	Reply     gateway.Reply    `json:"reply"`
	Took      time.Duration    `json:"took"`
	Session   gateway.Summary  `json:"session"`
	Subject   string           `json:"subject,omitempty"`
	MessageID string           `json:"message_id,omitempty"`
	Relayed   *gateway.Relayed `json:"relayed,omitempty"`
	Replies   []gateway.Reply  `json:"replies,omitempty"`
	Removed   []string         `json:"removed,omitempty"`
	ScannedBy []string         `json:"scanned_by,omitempty"`
}

func (s *oldStory) decode(kind gateway.EventKind) (*gateway.Event, error) {
	e := &gateway.Event{Kind: kind, Record: new(gateway.Record)}
	var r oldRest
	for _, part := range []struct {
		name string
		text []byte
		into any
	}{{"record", s.record, e.Record}, {"verdict", s.verdict, &e.Verdict}, {"rest", s.rest, &r}, {"evidence", s.evidence, &e.Evidence}} {
		if len(part.text) == 0 && part.name == "evidence" {
			continue
		}
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return nil, fmt.Errorf("log: %s: %w", part.name, err)
		}
	}
	e.Policy, e.Reply, e.Took, e.Session, e.Subject = r.Policy, r.Reply, r.Took, r.Session, r.Subject
	e.MessageID, e.Relayed, e.Replies, e.Removed, e.ScannedBy = r.MessageID, r.Relayed, r.Replies, r.Removed, r.ScannedBy
	return e, nil
}

// evidenceOf returns the evidence of each finding: of the event, or as the findings themselves still carry it.
func evidenceOf(e *gateway.Event) [][]gateway.Evidence {
	if e.Evidence != nil {
		return e.Evidence
	}
	out := make([][]gateway.Evidence, len(e.Record.Findings))
	for i := range e.Record.Findings {
		out[i] = e.Record.Findings[i].Evidence
	}
	return out
}

// bounded returns the evidence within its bound; nil when there is none at all.
func bounded(all [][]gateway.Evidence) [][]gateway.Evidence {
	total, some := 0, false
	for _, of := range all {
		for i := range of {
			total += len(of[i].Name) + len(of[i].Text)
			some = true
		}
	}
	if !some {
		return nil
	}
	if total <= maxEvidence {
		return all
	}
	left := maxEvidence
	out := make([][]gateway.Evidence, len(all))
	for i, of := range all {
		for _, e := range of {
			if left <= 0 {
				break
			}
			if len(e.Text) > left {
				e.Text = strings.ToValidUTF8(e.Text[:left], "") + " [cut]"
			}
			left -= len(e.Name) + len(e.Text)
			out[i] = append(out[i], e)
		}
	}
	return out
}

// addressKey is how addresses are stored and looked for: lower case in both parts, since a help desk does not know the
// case of a local part.
func addressKey(text string) string { return strings.ToLower(text) }

// fromHeader returns the address of the first author of a From field, and "" when there is none to be found.
func fromHeader(value string) string {
	if value == "" || len(value) > 2000 {
		return ""
	}
	if list, err := mail.ParseAddressList(value); err == nil && len(list) > 0 {
		return addressKey(list[0].Address)
	}
	open := strings.LastIndexByte(value, '<')
	if end := strings.LastIndexByte(value, '>'); open >= 0 && end > open {
		return addressKey(strings.TrimSpace(value[open+1 : end]))
	}
	return ""
}

// domainOf returns what is behind the last @ of a stored address.
func domainOf(key string) string {
	return key[strings.LastIndexByte(key, '@')+1:]
}

// messageIDKey is a Message-ID without its brackets and the white space around them.
func messageIDKey(text string) string { return strings.Trim(text, " \t<>") }
