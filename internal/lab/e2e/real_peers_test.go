package e2e

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/mails"
)

// The sizes of what each internal MTA is sent; scripts/soak has the full form.
var (
	peerSize  = flag.Int("peer-size", 3_000_000, "how many octets the large message of TestPeers has")
	peerCrowd = flag.Int("peer-crowd", 60, "how many recipients its message for many has")
)

// moreThanCrowd is by how many recipients a message goes beyond what an internal MTA takes in a transaction.
const moreThanCrowd = 5

// peerRun is an internal MTA behind a daemon of its own: what a daemon offers is what all its next hops can take.
type peerRun struct {
	kind  peerKind
	peer  *peer
	w     *world
	crowd []string
}

// TestPeers: each internal MTA gets, and says, through the daemon what the table of docs/interop.md says of it.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, k := range peerKinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			beginPeer(t, k).play(ctx, t)
		})
	}
}

const (
	peerBox = "post@served.test"
	utf8Box = "grün@served.test"
	fullBox = "full@served.test"
)

func beginPeer(t *testing.T, k peerKind) *peerRun {
	t.Helper()
	r := &peerRun{kind: k}
	for i := range *peerCrowd + moreThanCrowd {
		r.crowd = append(r.crowd, fmt.Sprintf("u%03d@served.test", i))
	}
	r.peer = k.start(t, append(slices.Clone(r.crowd), peerBox, utf8Box, fullBox), *peerCrowd)
	lines := ""
	if k.lmtp {
		lines = "protocol = \"lmtp\""
	}
	r.w = begin(t, setup{
		clamav: "off", spamd: "off", dns: dnslab.New(t, realZones).Addr(), trusted: `"127.0.0.0/8"`, offers: k.learned,
		limits: noWaits + "message_size = \"50M\"\n",
		routes: []route{{name: "internal", domains: []string{"served.test"}, addr: r.peer.addr, lines: lines}},
	})
	return r
}

// play holds each answer against the table.
func (r *peerRun) play(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, step := range []struct {
		name, want string
		get        func(context.Context, testing.TB) string
	}{
		{"what it offers", r.kind.offers, r.offers},
		{"clean mail", asSent, r.clean},
		{"SMTPUTF8", r.kind.utf8, r.utf8},
		{"notices", r.kind.notices, r.notices},
		{"an unknown recipient", r.kind.unknown, r.unknown},
		{"a full mailbox", r.kind.full, r.full},
		{"many recipients", asSent, r.many},
		{"too many recipients", r.kind.tooMany, r.tooMany},
	} {
		if got := step.get(ctx, t); got != step.want {
			t.Errorf("%s: %s\nwant %s", step.name, got, step.want)
		}
	}
}

// asSent is said of mail that arrives once, octet for octet.
const asSent = "as sent"

// offers is what the peer says of itself, in the order of a table.
func (r *peerRun) offers(_ context.Context, t testing.TB) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", r.peer.addr, clientTime)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	c.reply()
	hello := "EHLO"
	if r.kind.lmtp {
		hello = "LHLO"
	}
	said := c.want("250", hello+" mx.gatepost.test")
	var words []string
	for _, word := range []string{"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS"} {
		if strings.Contains(said+"\n", "250-"+word) || strings.Contains(said, "250 "+word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// clean sends the clean mail of the world, and a large one.
func (r *peerRun) clean(ctx context.Context, t testing.TB) string {
	t.Helper()
	all := append(mails.All(mails.Options{To: peerBox}), mails.Big(mails.Options{To: peerBox, Date: time.Now()}, *peerSize))
	for _, m := range all {
		if m.Kind != mails.Clean || m.UTF8 {
			continue
		}
		if _, err := (lab.GoSMTPSend{From: m.From, To: []string{m.To}, Body: m.Body}).Send(ctx, r.w.addr()); err != nil {
			return fmt.Sprintf("%s: %v", m.Name, err)
		}
		r.arrives(ctx, t, m.To, m.Body)
	}
	return asSent
}

// arrives waits for a mail and fails when it is not what was sent.
func (r *peerRun) arrives(ctx context.Context, t testing.TB, to string, sent []byte) {
	t.Helper()
	above := arrivesIn(ctx, t, func(id string) [][]byte { return withID(r.peer.arrived(to), id) }, sent)
	// From below: ours, which is the first that stood above it, and those of the internal MTA.
	names := strings.ReplaceAll(fieldNames(above), "Delivered-To ", "") // some write it only for a single recipient
	const ours = "X-Gatepost-Verdict X-Gatepost-Trace X-Spam-Flag X-Spam-Score X-Spam-Status Authentication-Results Received"
	if theirs, ok := strings.CutSuffix(names, ours); !ok || strings.TrimSpace(theirs) != r.kind.adds {
		t.Errorf("the fields above are %s, want %s and %s", names, r.kind.adds, ours)
	}
}

// utf8 sends from and to addresses that need SMTPUTF8.
func (r *peerRun) utf8(ctx context.Context, t testing.TB) string {
	t.Helper()
	c := r.w.hello(t)
	defer c.conn.Close()
	if said := c.say("MAIL FROM:<änne@sender.test> BODY=8BITMIME SMTPUTF8"); !strings.HasPrefix(said, "250") {
		return code(said) + " at MAIL"
	}
	if said := c.say("RCPT TO:<" + utf8Box + ">"); !strings.HasPrefix(said, "250") {
		return code(said) + " at RCPT"
	}
	c.want("354", "DATA")
	m := mails.Internationalized(mails.Options{From: "änne@sender.test", To: utf8Box, Date: time.Now()})
	c.send(string(m.Body) + ".\r\n")
	if said := c.reply(); !strings.HasPrefix(said, "250") {
		return said
	}
	r.arrives(ctx, t, utf8Box, m.Body)
	return asSent
}

// code is the code and the enhanced code of a reply.
func code(said string) string {
	fields := strings.Fields(said)
	return "`" + strings.Join(fields[:min(2, len(fields))], " ") + "`"
}

// notices asks for notices as RFC 3461 lets a sender ask.
func (r *peerRun) notices(ctx context.Context, t testing.TB) string {
	t.Helper()
	back := r.crowd[0] // who asks has a mailbox behind the same peer, which gets the notice
	m := mails.ASCII(mails.Options{From: back, To: peerBox, Date: time.Now()})
	c := r.w.hello(t)
	defer c.conn.Close()
	if said := c.say("MAIL FROM:<" + back + "> RET=HDRS ENVID=QQ+2B314"); !strings.HasPrefix(said, "250") {
		said += c.want("250", "MAIL FROM:<"+back+">")
		return code(said) + " at MAIL; " + code(c.say("RCPT TO:<"+peerBox+"> NOTIFY=SUCCESS,FAILURE")) + " at RCPT"
	}
	c.want("250", "RCPT TO:<"+peerBox+"> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Btag@Example.COM")
	c.want("354", "DATA")
	c.send(string(bytes.ReplaceAll(m.Body, []byte("\r\n."), []byte("\r\n.."))) + ".\r\n")
	if said := c.reply(); !strings.HasPrefix(said, "250") {
		return said
	}
	r.arrives(ctx, t, peerBox, m.Body)
	if r.peer.asked != nil {
		return r.peer.asked(messageID(t, m.Body))
	}
	var notice string
	if err := eventually(ctx, func() (string, bool) {
		for _, n := range r.peer.arrived(back) {
			if bytes.Contains(n, []byte("message/delivery-status")) {
				notice = string(n)
			}
		}
		return "no notice", notice != ""
	}); err != nil {
		return err.Error()
	}
	notice = strings.ToLower(notice)
	has := func(fields ...string) bool {
		return !slices.ContainsFunc(fields, func(f string) bool { return !strings.Contains(notice, "\n"+f+"\n") })
	}
	switch {
	case !has("action: delivered"):
		return "its notice says nothing of delivery"
	case has("original-envelope-id: qq+314", "original-recipient: rfc822;bob+tag@example.com"):
		return passedOn
	case has("original-envelope-id: qq+2b314", "original-recipient: rfc822;bob+2btag@example.com"):
		return passedOn + "; its notices have them still encoded (xtext)"
	case !strings.Contains(notice, "\noriginal-"):
		return passedOn + "; its notices name neither ENVID nor ORCPT"
	}
	return notice
}

// unknown asks for a mailbox that is not there.
func (r *peerRun) unknown(_ context.Context, t testing.TB) string {
	t.Helper()
	c := r.w.hello(t)
	defer c.conn.Close()
	c.want("250", "MAIL FROM:<anna@sender.test>")
	return code(c.say("RCPT TO:<nobody@served.test>"))
}

// full sends to a mailbox that has room and to one that has none.
func (r *peerRun) full(ctx context.Context, t testing.TB) string {
	t.Helper()
	if r.kind.full == none {
		return none
	}
	m := letter(peerBox)
	// As a sender does, until nobody is left who was told to wait.
	left := []string{fullBox, peerBox}
	var heard []string
	for range 3 {
		c := r.w.hello(t)
		c.want("250", "MAIL FROM:<"+m.From+">")
		var accepted []string
		for _, to := range left {
			said := c.say("RCPT TO:<" + to + ">")
			if strings.HasPrefix(said, "250") {
				accepted = append(accepted, to)
			} else {
				heard = append(heard, code(said)+" at RCPT for the full one")
			}
		}
		left = accepted
		if len(accepted) > 0 {
			c.want("354", "DATA")
			c.send(string(bytes.ReplaceAll(m.Body, []byte("\r\n."), []byte("\r\n.."))) + ".\r\n")
			said := c.reply()
			heard = append(heard, code(said))
			if strings.HasPrefix(said, "2") || strings.HasPrefix(said, "5") {
				left = nil
			}
		}
		c.conn.Close()
		if left == nil {
			break
		}
	}
	r.arrives(ctx, t, peerBox, m.Body)
	return strings.Join(heard, ", then ")
}

// many sends to as many recipients as the peer takes at once.
func (r *peerRun) many(ctx context.Context, t testing.TB) string {
	t.Helper()
	to := r.crowd[:*peerCrowd]
	m := letter(to[0])
	if _, err := (lab.GoSMTPSend{From: m.From, To: to, Body: m.Body}).Send(ctx, r.w.addr()); err != nil {
		return err.Error()
	}
	for _, to := range to {
		r.arrives(ctx, t, to, m.Body)
	}
	return asSent
}

// tooMany sends to more than the peer takes at once, as a sender does: those refused for their number come next.
func (r *peerRun) tooMany(ctx context.Context, t testing.TB) string {
	t.Helper()
	m := letter(r.crowd[0])
	left := r.crowd
	var heard []string
	hear := func(said string) {
		if n := len(heard); n == 0 || heard[n-1] != said {
			heard = append(heard, said)
		}
	}
	for range 5 {
		var refused []string
		c := r.w.hello(t)
		c.want("250", "MAIL FROM:<"+m.From+">")
		taken := 0
		for _, to := range left {
			if said := c.say("RCPT TO:<" + to + ">"); strings.HasPrefix(said, "250") {
				taken++
			} else {
				hear(fmt.Sprintf("%s at recipient %s", code(said), beyond(taken)))
				refused = append(refused, to)
			}
		}
		c.want("354", "DATA")
		c.send(string(bytes.ReplaceAll(m.Body, []byte("\r\n."), []byte("\r\n.."))) + ".\r\n")
		said := c.reply()
		c.conn.Close()
		hear(code(said))
		if strings.HasPrefix(said, "250") {
			left = refused
		}
		if len(left) == 0 {
			break
		}
	}
	for _, to := range r.crowd {
		if len(left) == 0 {
			r.arrives(ctx, t, to, m.Body)
		}
	}
	return strings.Join(heard, ", then ")
}

// beyond names a number of recipients, whatever the size of the crowd.
func beyond(taken int) string {
	if taken == *peerCrowd {
		return "N+1"
	}
	return fmt.Sprint(taken + 1)
}
