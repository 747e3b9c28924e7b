package relay

import (
	"context"
	"errors"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// attempt is what came of one try on one connection.
type attempt struct {
	gateway.Relayed
	keep  bool  // the connection is in step and between two transactions
	other bool  // another next hop may be tried: no octet of the body was sent, and this one is at fault
	stale bool  // the connection broke before it answered anything: an idle one may just have been dead
	blame error // counts against the next hop
	held  bool  // its answer is still listened for: the connection and its place in the pool are not given back yet
}

// broken is an attempt that ended with an error of the connection before the body.
func broken(at string, err error) attempt {
	a := attempt{other: true, blame: err}
	a.At, a.Said, a.Reply = at, gateway.CleanText(err.Error(), maxSaid), lost()
	if at == atDial || at == atEHLO {
		a.Reply = away()
	}
	var f *failure
	switch {
	case errors.As(err, &f) && f.reply.Code != 0:
		a.Said = said(f.reply)
	case errors.Is(err, smtpwire.ErrReplySyntax), errors.Is(err, smtpwire.ErrReplyCodes),
		errors.Is(err, smtpwire.ErrReplyLength), errors.Is(err, errOutOfTurn):
		a.Reply = unclear()
	}
	return a
}

// wrongCode is an attempt that ended with a reply of a code that the step does not know.
func wrongCode(at string, r smtpwire.Reply) attempt {
	a := broken(at, unexpected(at, r))
	a.Reply = unclear()
	return a
}

// refusal is an attempt that ended with a reply, as mapReply reads it.
func refusal(at string, r smtpwire.Reply) attempt {
	result, reply := mapReply(r)
	switch {
	case r.Code == 421:
		a := broken(at, unexpected(at, r))
		a.Result, a.Reply = result, reply
		return a
	case result == gateway.NotDelivered:
		a := wrongCode(at, r)
		if r.Code >= 400 {
			a.blame = nil // it works, though not for us
		}
		return a
	}
	return attempt{Relayed: gateway.Relayed{Result: result, Reply: reply, At: at, Said: said(r)}, keep: true}
}

// unable is an attempt on a next hop that cannot carry the message.
func unable(reply gateway.Reply, why string) attempt {
	return attempt{keep: true, other: true,
		Relayed: gateway.Relayed{Result: gateway.RefusedByHop, Reply: reply, At: atEHLO, Said: why}}
}

// deliver runs one transaction.
func (c *conn) deliver(ctx context.Context, d *gateway.Delivery, chunking bool) attempt {
	if a, ok := c.introduce(d.Client); !ok {
		return a
	}
	chunking = chunking && c.offer.chunking && d.Content.Size > 0
	f, a, ok := c.commands(d, !chunking)
	if !ok {
		return a
	}
	replies, err := c.converse(f, !chunking)
	rcpts := taken{replies: replies, want: len(d.Rcpts)}
	if err != nil {
		return cutOff(rcpts, err)
	}
	if a, ok := c.answered(rcpts, d); !ok {
		return a
	}
	if chunking {
		return c.chunk(ctx, d)
	}
	if data := replies[len(replies)-1]; !data.Is(354) {
		a := refusal(atData, data)
		return c.reset(a)
	}
	return c.data(ctx, d)
}

// cutOff is the attempt whose commands were not all answered.
func cutOff(t taken, err error) attempt {
	n := len(t.replies)
	if n > 0 && t.replies[n-1].Code == 421 {
		a := refusal(t.at(), t.replies[n-1])
		a.stale = n == 1
		return a
	}
	a := broken(t.at(), err)
	a.stale = n == 0
	return a
}

// unwritable is the attempt whose addresses the edge should not have let in.
func unwritable(err error) attempt {
	a := attempt{keep: true}
	a.At, a.Said, a.Reply = atMail, err.Error(), unclear()
	return a
}

// commands writes the commands of a transaction, or says why this next hop cannot have it.
func (c *conn) commands(d *gateway.Delivery, data bool) (f *flight, a attempt, ok bool) {
	utf8 := d.Content.UTF8 || d.From.UTF8
	for i := range d.Rcpts {
		utf8 = utf8 || d.Rcpts[i].Address.UTF8
	}
	switch {
	case utf8 && !c.offer.utf8:
		return nil, unable(gateway.Word(gateway.Reject, gateway.NeedsUTF8, nil), "no SMTPUTF8"), false
	case d.Content.EightBit && !c.offer.eightBit:
		return nil, unable(gateway.Word(gateway.Reject, gateway.NeedsEightBit, nil), "no 8BITMIME"), false
	case c.offer.size > 0 && d.Content.Size > c.offer.size:
		return nil, unable(gateway.Reply{Code: 552, Enhanced: "5.3.4",
			Text: "Message too big for the mail server of the recipient"}, "SIZE is smaller than the message"), false
	case d.Options.RequireTLS && !c.keepsTLS() && !d.From.IsNull():
		return nil, unable(gateway.Word(gateway.Reject, gateway.NeedsRequireTLS, nil), "no REQUIRETLS over verified TLS"), false
	}
	options := d.Options
	// A bounce is not lost for it (RFC 8689 section 5); it has no more in it than the way out was known to need.
	options.RequireTLS = options.RequireTLS && c.keepsTLS()
	f = &c.flight
	f.reset(len(d.Rcpts))
	err := f.mail(c.offer, d.From, options, d.Content.Size, d.Content.EightBit, utf8)
	for i := range d.Rcpts {
		if err == nil {
			err = f.rcpt(c.offer, d.Rcpts[i].Address, d.Rcpts[i].Options, utf8)
		}
	}
	if err != nil {
		return nil, unwritable(err), false
	}
	if data {
		f.add("DATA")
	}
	return f, a, true
}

// converse sends the commands, as many at once as the next hop and the socket buffers take, and reads the reply to each.
// It stops where going on makes no sense: after MAIL was refused, and before a DATA that is not on its way yet when a
// recipient was refused. The last reply, with errClosing, may be a 421. The replies are good until the next transaction.
func (c *conn) converse(f *flight, data bool) (replies []smtpwire.Reply, err error) {
	window, all := 1, len(f.ends)
	if c.offer.pipelining {
		window = maxFlight
	}
	replies = f.replies[:0]
	defer func() { f.replies = replies }()
	for at := 0; at < all; at = len(replies) {
		end := min(at+window, all)
		if at > 0 && !replies[0].Is(250) {
			break
		}
		if at > 0 && data && end == all && !allTaken(replies[1:]) {
			if end--; end == at {
				break
			}
		}
		if err := c.send(f.cut(at, end)); err != nil {
			return replies, err
		}
		for range end - at {
			r, err := c.reply(c.hop.timeouts.Command)
			if err != nil {
				return replies, err
			}
			if replies = append(replies, r); r.Code == 421 {
				return replies, errClosing
			}
		}
		if c.in.Buffered() > 0 {
			return replies, errOutOfTurn
		}
		if end < all && end-at < window {
			break
		}
	}
	return replies, nil
}

// allTaken reports whether every reply to RCPT is one of the two that mean yes.
func allTaken(rcpts []smtpwire.Reply) bool {
	for i := range rcpts {
		if !rcptTaken(rcpts[i]) {
			return false
		}
	}
	return true
}

func rcptTaken(r smtpwire.Reply) bool { return r.Is(250) || r.Is(251) }

// taken is the replies to MAIL, RCPT and, where it was sent, DATA.
type taken struct {
	replies []smtpwire.Reply
	want    int // recipients
}

// at is the step whose reply comes next, or, after a 421, came last.
func (t taken) at() string {
	n := len(t.replies)
	if n > 0 && t.replies[n-1].Code == 421 {
		n--
	}
	switch {
	case n == 0:
		return atMail
	case n <= t.want:
		return atRcpt
	}
	return atData
}

func (t taken) rcpts() []smtpwire.Reply { return t.replies[1:min(len(t.replies), 1+t.want)] }

// answered judges the replies to MAIL and RCPT; ok means that the message may go on for every recipient.
func (c *conn) answered(t taken, d *gateway.Delivery) (a attempt, ok bool) {
	mail := t.replies[0]
	switch {
	case !mail.Is(250):
		a = refusal(atMail, mail)
	case allTaken(t.rcpts()):
		return a, true
	default:
		a = c.rcptsRefused(t.rcpts())
	}
	// When the next hop said 354 in spite of it, RFC 2920 section 3.1 has the client send a lone dot. That would be an
	// empty message to whoever was taken: the connection is closed instead, and nothing was ever sent.
	if len(t.replies) == 2+t.want && t.replies[1+t.want].Code < 400 {
		a.keep = false
	}
	return c.reset(a), false
}

// rcptsRefused judges replies to RCPT of which at least one is no yes.
func (c *conn) rcptsRefused(rcpts []smtpwire.Reply) attempt {
	var first smtpwire.Reply
	count := map[gateway.RelayResult]int{}
	replies := make([]gateway.Reply, len(rcpts))
	for i, r := range rcpts {
		if rcptTaken(r) {
			count[gateway.Delivered]++
			replies[i] = faithful(r)
			continue
		}
		if r.Code < 400 {
			return wrongCode(atRcpt, r)
		}
		var result gateway.RelayResult
		result, replies[i] = mapReply(r)
		count[result]++
		if first.Code == 0 {
			first = r
		}
		if tooMany(r) && count[gateway.Delivered] == i && i > 0 {
			c.hop.takesFewer(i)
		}
	}
	a := refusal(atRcpt, first)
	if len(count) > 1 {
		a.Result, a.Reply = gateway.MixedByHop, mixed()
	}
	a.Rcpts = replies
	return a
}

// tooMany reports whether a refusal of RCPT says that those before it were enough. The code for it is 452 (RFC 5321
// section 4.5.3.1.10), and with enhanced codes 4.5.3; OpenSMTPD answers 451 4.5.3, and Exim 452 and nothing but words.
func tooMany(r smtpwire.Reply) bool {
	if r.Enhanced.IsZero() {
		return r.Code == 452 && strings.Contains(strings.ToLower(r.Text(200)), "recipients")
	}
	return r.Enhanced == (smtpwire.EnhancedCode{4, 5, 3})
}

// reset ends a transaction that got no further, so that the connection can be used again. The answer does not wait long
// for it.
func (c *conn) reset(a attempt) attempt {
	if !a.keep {
		return a
	}
	a.keep = false
	if c.send([]byte("RSET\r\n")) != nil {
		return a
	}
	r, err := c.reply(min(c.hop.timeouts.Command, 5*time.Second))
	a.keep = err == nil && r.Is(250) && c.in.Buffered() == 0
	return a
}
