package smtpd

import (
	"time"

	"gatepost/gateway"
)

const (
	maxRefusals   = 10  // lines in Summary.Refused
	maxRefusal    = 300 // octets of each
	maxMessageID  = 250
	refusalArrow  = " -> "
	maxRefusedCmd = 150
)

// noteRefusal keeps one of the first refused commands for the event of the connection.
func (c *session) noteRefusal(line string, r gateway.Reply) {
	if len(c.refusals) < maxRefusals {
		c.refusals = append(c.refusals,
			gateway.CleanText(gateway.CleanText(line, maxRefusedCmd)+refusalArrow+r.String(), maxRefusal))
	}
}

// summary is what the connection came to so far.
func (c *session) summary(findings []gateway.Finding) gateway.Summary {
	reverse := gateway.Evident(findings, gateway.EvidenceReverse)
	if reverse == "" {
		reverse = gateway.Evident(c.Findings, gateway.EvidenceReverse)
	}
	return gateway.Summary{Client: c.Client, Proxy: c.Proxy, Reverse: reverse, TLS: c.Session.TLS, End: c.End, Transactions: c.Transactions,
		Accepted: c.Accepted, Errors: c.Errors, Commands: c.Commands, Octets: c.Octets, Refused: c.refusals,
		Waited: c.Conduct.Waited, Passed: c.Accepted > 0 && !c.Conduct.Failed}
}

// journalConnection writes the one event of the connection.
func (c *session) journalConnection() {
	record := gateway.NewRecord(gateway.Connect, &c.Session, nil)
	c.srv.Journal.Write(&gateway.Event{Kind: gateway.ConnectionEvent, Record: record,
		Verdict: c.Snapshot.Policy.Judge(record), Policy: c.Snapshot.Policy.Version, Reply: c.lastReply,
		Took: c.Done.Sub(c.Started), Session: c.summary(nil), Evidence: evidence(record)})
}

// journalTransaction writes the one event of a transaction, whatever became of it.
func (c *session) journalTransaction(t *transaction) {
	record := gateway.NewRecord(t.stage, &c.Session, &t.env)
	if t.stage < gateway.Data {
		t.verdict = c.Snapshot.Policy.Judge(record) // now that it is known what each recipient was answered
	}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: record, Verdict: t.verdict,
		Policy: c.Snapshot.Policy.Version, Reply: t.last, Took: time.Since(t.env.Started),
		Session: c.summary(t.env.Findings), Relayed: t.result.Relayed, Spooled: t.result.Spooled, Again: t.result.Again, Removed: t.result.Removed,
		Edits: t.result.Edits, ScannedBy: t.result.ScannedBy, Evidence: evidence(record)}
	e.Session.Refused = nil // they belong to the connection
	for i := range t.env.Rcpts {
		e.Replies = append(e.Replies, t.env.Rcpts[i].Reply)
	}
	if h := t.env.Header; h != nil {
		e.Subject = t.env.LoggedSubject()
		e.MessageID = gateway.CleanText(h.Get("Message-ID"), maxMessageID)
	}
	c.srv.Journal.Write(e)
}

// evidence gathers the evidence of a record's findings, in their order.
func evidence(r *gateway.Record) [][]gateway.Evidence {
	out := make([][]gateway.Evidence, len(r.Findings))
	for i := range r.Findings {
		out[i] = r.Findings[i].Evidence
	}
	return out
}
