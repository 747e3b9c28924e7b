package memory

import (
	"time"

	"gatepost/gateway"
)

// Learn takes what the event of a message teaches, after its last reply. It reads, of the findings' AuthResults, the result
// of the method "dmarc" with its DMARCResult (Author, Organization, Requested, Override, Path, Sealers) and whether that of the method
// "arc" is "pass"; of the event, what became of the message. Any other event teaches nothing.
func (k *Known) Learn(e *gateway.Event) {
	if e == nil || e.Kind != gateway.TransactionEvent || e.Record == nil {
		return
	}
	var dmarc *gateway.AuthResult
	chain := false
	for i := range e.Record.Findings {
		for j := range e.Record.Findings[i].Auth {
			switch r := &e.Record.Findings[i].Auth[j]; {
			case r.Method == "dmarc" && r.DMARC != nil:
				dmarc = r
			case r.Method == "arc":
				chain = r.Result == "pass"
			}
		}
	}
	if dmarc == nil {
		return
	}
	l := lesson{now: time.Now().Unix(), result: dmarc.Result, DMARCResult: dmarc.DMARC, chain: chain}
	l.author, l.org = gateway.CleanText(l.Author, maxName), gateway.CleanText(l.Organization, maxName)
	if l.org == "" {
		l.org = l.author
	}
	switch e.Outcome() {
	case gateway.Accept, gateway.Tag:
		l.letIn = true
	case gateway.Defer:
		l.again = true
	}
	k.learnDomain(&l)
	k.learnPath(&l)
	k.learnSealers(&l)
}

// maxName bounds the names that are kept; no domain is longer.
const maxName = 255

// lesson is what one message teaches.
type lesson struct {
	*gateway.DMARCResult
	now         int64
	result      string // of dmarc, a word of RFC 8601
	author, org string
	chain       bool // its ARC chain passed
	letIn       bool // it was delivered
	again       bool // the sender was told to come back, and so the message does
}
