package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// peer is a running internal MTA that mail is relayed to.
type peer struct {
	addr string
	// arrived are the messages in a mailbox, with their lines ended by LF.
	arrived func(address string) [][]byte
	// asked says what came of what a message asked about notices, where the peer sends none itself.
	asked func(id string) string
}

// peerKind is one internal MTA: how it is started, and what becomes of each mail of TestPeers. The texts are the row in
// docs/interop.md.
type peerKind struct {
	name, what string // as Debian has it
	lmtp       bool
	start      func(t testing.TB, boxes []string, limit int) *peer
	learned    string // a line of the daemon's EHLO that is there once it knows this next hop
	adds       string // the fields that it puts above what it was given, but for Delivered-To

	offers  string
	utf8    string
	notices string
	unknown string
	full    string // a mailbox over its quota and one that is not; none where it has no quotas
	tooMany string // recipients beyond its limit, N
}

const (
	none     = "none"
	passedOn = "passed on"
	notUTF8  = "`553 5.6.7` at MAIL"
	notHere  = "`555 5.5.4` at MAIL; `555 5.5.4` at RCPT"
	said     = "`452 4.5.3` at recipient N+1, then `250 2.0.0`" // it says so in EHLO
	evenly   = "`451 4.3.0`, then `552 5.2.2` at RCPT for the full one, then `250 2.0.0`"
	limited  = "`451 4.3.0`, then `452 4.5.3` at recipient N+1, then `250 2.0.0`"
)

func peerKinds() []peerKind {
	return []peerKind{
		{
			name: "Postfix", what: "Postfix 3.7", start: startPeerPostfix, learned: "250-DSN", adds: "Return-Path X-Original-To Received",
			offers: "PIPELINING SIZE 8BITMIME SMTPUTF8 CHUNKING DSN ENHANCEDSTATUSCODES",
			utf8:   asSent, notices: passedOn, unknown: "`550 5.1.1`", full: none, tooMany: limited,
		},
		{
			name: "Exim", what: "Exim 4.96", start: startPeer(lab.StartExim), learned: "250-DSN", adds: "Return-path Envelope-to Received",
			offers: "PIPELINING SIZE 8BITMIME SMTPUTF8 CHUNKING DSN",
			utf8:   asSent, notices: passedOn + "; its notices have them still encoded (xtext)", unknown: "`550 5.1.1`", full: none, tooMany: limited,
		},
		{
			name: "OpenSMTPD", what: "OpenSMTPD 6.8", start: startPeer(lab.StartOpenSMTPD), learned: "250-DSN", adds: "Return-Path Received",
			offers: "SIZE 8BITMIME DSN ENHANCEDSTATUSCODES",
			utf8:   notUTF8, notices: passedOn + "; its notices name neither ENVID nor ORCPT", unknown: "`550 5.0.0`", full: none, tooMany: limited,
		},
		{
			name: "go-smtp", what: "go-smtp 0.25", start: startLibrary(false), learned: "250-DSN", adds: "",
			offers: "PIPELINING SIZE 8BITMIME SMTPUTF8 CHUNKING DSN ENHANCEDSTATUSCODES LIMITS",
			utf8:   asSent, notices: passedOn, unknown: "`550 5.1.1`", full: none, tooMany: said,
		},
		{
			name: "Dovecot", what: "Dovecot 2.3", lmtp: true, start: startPeer(lab.StartDovecot), learned: "250-8BITMIME", adds: "Return-Path Received",
			offers: "PIPELINING 8BITMIME CHUNKING ENHANCEDSTATUSCODES",
			utf8:   notUTF8, notices: notHere, unknown: "`550 5.1.1`",
			full: evenly, tooMany: "`250 2.0.0`",
		},
		{
			name: "go-smtp by LMTP", what: "go-smtp 0.25", lmtp: true, start: startLibrary(true), learned: "250-DSN", adds: "",
			offers: "PIPELINING SIZE 8BITMIME SMTPUTF8 CHUNKING DSN ENHANCEDSTATUSCODES LIMITS",
			utf8:   asSent, notices: passedOn, unknown: "`550 5.1.1`",
			full: evenly, tooMany: said,
		},
	}
}

// startPeer starts one of the lab's.
func startPeer(start func(context.Context, string, lab.PeerOptions) (*lab.Peer, error)) func(testing.TB, []string, int) *peer {
	return func(t testing.TB, boxes []string, limit int) *peer {
		t.Helper()
		p := labtest.Peer(t, start, lab.PeerOptions{Mailboxes: boxes, Full: []string{fullBox}, Recipients: limit})
		return &peer{addr: p.Addr, arrived: inMaildir(p.Maildir)}
	}
}

func startPeerPostfix(t testing.TB, boxes []string, limit int) *peer {
	t.Helper()
	p := labtest.Postfix(t, lab.PostfixOptions{
		Name: "postfix.lab.test", Mailboxes: boxes, Settings: []string{fmt.Sprintf("smtpd_recipient_limit = %d", limit)},
	})
	return &peer{addr: p.Addr, arrived: inMaildir(p.Maildir)}
}

func inMaildir(box func(string) lab.Maildir) func(string) [][]byte {
	return func(address string) [][]byte {
		all, err := box(address).Messages()
		if err != nil {
			return nil // moved while we looked: there is a next time
		}
		return all
	}
}

// startLibrary starts the go-smtp library's server, whose mailboxes are lists.
func startLibrary(lmtp bool) func(testing.TB, []string, int) *peer {
	refuse := func(code, class, subject, detail int, text string) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
	}
	return func(t testing.TB, boxes []string, limit int) *peer {
		t.Helper()
		g, err := lab.StartGoSMTPPeer(lab.GoSMTPOptions{
			LMTP: lmtp, Recipients: limit,
			Rcpt: func(to string) error {
				if !slices.Contains(boxes, to) {
					return refuse(550, 5, 1, 1, "no such user")
				}
				return nil
			},
			After: func(to string) error {
				if to == fullBox {
					return refuse(552, 5, 2, 2, "no room")
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return &peer{
			addr: g.Addr(),
			arrived: func(address string) (out [][]byte) {
				for _, m := range g.Messages() {
					if slices.Contains(m.For, address) {
						out = append(out, bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")))
					}
				}
				return out
			},
			asked: func(id string) string { return askedOf(g, id) },
		}
	}
}

// askedOf is what the library heard about notices for a message.
func askedOf(g *lab.GoSMTP, id string) string {
	for _, m := range g.Messages() {
		if !bytes.Contains(m.Body, []byte(id)) {
			continue
		}
		o := m.RcptOptions[0]
		if m.MailOptions.Return == smtp.DSNReturnHeaders && m.MailOptions.EnvelopeID == "QQ+314" &&
			slices.Equal(o.Notify, []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure}) &&
			strings.EqualFold(string(o.OriginalRecipientType), "rfc822") && o.OriginalRecipient == "Bob+tag@Example.COM" {
			return passedOn
		}
		return fmt.Sprintf("%+v %+v", m.MailOptions, o)
	}
	return "no message"
}

var writeInterop = flag.Bool("write-interop", false, "write the table of docs/interop.md from that of TestPeers")

// TestInteropTable: the table of docs/interop.md is that of TestPeers.
func TestInteropTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| Next hop | Offers | SMTPUTF8 | DSN parameters | Unknown recipient | A full mailbox and one with room | More than N recipients at once |\n|---|---|---|---|---|---|---|\n")
	for _, k := range peerKinds() {
		by := "SMTP"
		if k.lmtp {
			by = "LMTP"
		}
		fmt.Fprintf(&b, "| %s, %s | %s | %s | %s | %s | %s | %s |\n", k.what, by, k.offers, k.utf8, k.notices, k.unknown, k.full, k.tooMany)
	}
	const file = "../../../docs/interop.md"
	text := string(readFile(t, file))
	table := regexp.MustCompile(`(?s)\| Next hop \|.*?\n\n`)
	if *writeInterop {
		text = table.ReplaceAllLiteralString(text, b.String()+"\n")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := table.FindString(text); got != b.String()+"\n" {
		t.Errorf("docs/interop.md has another table; go test -run TestInteropTable ./internal/lab/e2e -write-interop writes it:\n%s", b.String())
	}
}
