package filters

import (
	"gatepost/gateway"
	"gatepost/internal/mime"
)

// factMIME is the name of the fact that tree computes.
const factMIME = "mime"

// tree is what the message is made of, walked once a transaction; nil where it cannot be read, and before it is there. It is
// good until the body is closed.
func tree(in *gateway.Input) *mime.Tree {
	e := in.Envelope
	if e == nil || e.Body == nil {
		return nil
	}
	return gateway.Fact(&e.Facts, factMIME, func() *mime.Tree {
		l := mime.DefaultLimits()
		if e.Session != nil && e.Session.Snapshot != nil && e.Session.Snapshot.Limits.HeaderSize > 0 {
			l.Header = e.Session.Snapshot.Limits.HeaderSize
		}
		t, err := mime.Walk(e.Body, l)
		if err != nil {
			return nil
		}
		return t
	})
}
