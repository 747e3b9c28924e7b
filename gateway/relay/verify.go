package relay

import (
	"context"
	"time"

	"gatepost/gateway"
)

// VerifyResult is what a next hop says of a recipient.
type VerifyResult uint8

// The results. The zero value is the one that tells nothing.
const (
	Away      VerifyResult = iota // it could not be asked, or gave no clear answer
	Takes                         // RCPT was answered with 250 or 251
	Refuses                       // MAIL or RCPT was answered with 5xx
	Postpones                     // MAIL or RCPT was answered with 4xx
)

func (v VerifyResult) String() string {
	return [...]string{"away", "takes", "refuses", "postpones"}[min(v, Postpones)]
}

// Verified is the answer to Verify.
type Verified struct {
	Result  VerifyResult
	Reply   gateway.Reply // what the sender is told; mapped and cleaned as in Relayed
	NextHop string        // host:port that answered
	Said    string        // its own reply, cleaned, or what went wrong
	At      string        // the step that decided, as in Relayed
	Took    time.Duration
}

// Verify asks a next hop of the route whether it takes mail from this sender for this recipient: MAIL, RCPT and RSET over
// the pool, in one flight where it offers PIPELINING. The real reverse-path is used, since the answer may depend on it.
// It never sends DATA.
func (r *Relay) Verify(ctx context.Context, route string, from, rcpt gateway.Address) Verified {
	began := time.Now()
	rt := r.routes[route]
	if rt == nil {
		return Verified{Reply: unclear(), At: atDial, Said: "no such route"}
	}
	a := rt.try(ctx, forAsking, func(c *conn) attempt {
		c.hop.count.asked.Add(1)
		return c.verify(from, rcpt)
	})
	v := Verified{Reply: a.Reply, NextHop: a.NextHop, Said: a.Said, At: a.At, Took: time.Since(began)}
	switch {
	case a.Result == gateway.Delivered:
		v.Result = Takes
	case a.Result == gateway.RefusedByHop:
		v.Result = Refuses
	case a.Result == gateway.DeferredByHop && a.blame == nil:
		v.Result = Postpones
	}
	return v
}

// verify is one call-ahead on one connection.
func (c *conn) verify(from, rcpt gateway.Address) attempt {
	if a, ok := c.introduce(gateway.Client{}); !ok {
		return a
	}
	utf8 := from.UTF8 || rcpt.UTF8
	if utf8 && !c.offer.utf8 {
		return unable(gateway.Word(gateway.Reject, gateway.NeedsUTF8, nil), "no SMTPUTF8")
	}
	f := &c.flight
	f.reset(1)
	err := f.mail(c.offer, from, gateway.MailOptions{}, -1, false, utf8)
	if err == nil {
		err = f.rcpt(c.offer, rcpt, gateway.RcptOptions{}, utf8)
	}
	if err != nil {
		return unwritable(err)
	}
	f.add("RSET")
	replies, err := c.converse(f, false)
	if err != nil && len(replies) < 2 || len(replies) > 0 && replies[len(replies)-1].Code == 421 && len(replies) < 3 {
		return cutOff(taken{replies: replies, want: 1}, err)
	}
	var a attempt
	switch mail := replies[0]; {
	case !mail.Is(250):
		a = refusal(atMail, mail)
	case rcptTaken(replies[1]):
		a.Result, a.At, a.Reply, a.Said = gateway.Delivered, atRcpt, faithful(replies[1]), said(replies[1])
		a.keep = true
	default:
		a = refusal(atRcpt, replies[1])
	}
	// After a lock-step MAIL that was refused there is no transaction to reset.
	a.keep = a.keep && err == nil && (len(replies) == 1 || replies[2].Is(250))
	return a
}
