package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// clientName is what the demo's clients call themselves; zones has it.
const clientName = "mail.sender.test"

// item is one mail of the demo.
type item struct {
	title string
	mail  mails.Mail
	with  string // the program that sends it
	tls   bool   // over TLS
	want  *outcome
}

// items are the mails of the demo, in the order of its table.
func items(big int, k *keys) ([]item, error) {
	// One moment for each, so that each has a Message-ID of its own.
	o := mails.Options{To: mailbox, Date: time.Now().Truncate(time.Second)}
	var all []item
	add := func(title string, m mails.Mail) {
		with := "swaks"
		if m.EightBit {
			with = "go-smtp" // swaks cannot say BODY=8BITMIME or SMTPUTF8
		}
		all = append(all, item{title: title, mail: m, with: with})
	}
	for _, m := range mails.All(o) {
		add(m.Title, m)
	}
	later := func(d time.Duration) mails.Options { p := o; p.Date = o.Date.Add(d); return p }
	unknown, relay := later(1), later(2)
	unknown.To, relay.To = "nobody@"+domain, "somebody@elsewhere.test"
	add("unknown recipient, "+unknown.To, mails.ASCII(unknown))
	add("relay attempt, "+relay.To, mails.ASCII(relay))
	signed, err := k.items(o, 3)
	all = append(all, signed...)
	all = append(all, encrypted(later(20), later(21))...)
	all = append(all, content(o, 30)...)
	m := mails.Big(o, big)
	add(m.Title, m)
	return all, err
}

// encrypted are two mails of a domain that policy lets send over TLS only; one does.
func encrypted(one, other mails.Options) []item {
	one.From, other.From = "anna@"+tlsDomain, "anna@"+tlsDomain
	return []item{{title: "over TLS, as it must come", mail: mails.ASCII(one), with: "swaks", tls: true, want: &outcome{told: "250 ", got: unchanged}},
		{title: "the same in clear", mail: mails.ASCII(other), with: "swaks", want: &outcome{told: "530 5.7.10 ", got: nothing}}}
}

// tlsDomain is whose mail must come over TLS.
const tlsDomain = "notary.test"

// send sends one mail and returns the decisive reply.
func (w *world) send(ctx context.Context, it item) (reply string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	addr := w.gatepost.Addr("proxied")
	if it.with == "swaks" {
		r, err := lab.Swaks{Server: addr, Hello: clientName, From: it.mail.From, To: []string{it.mail.To}, Data: it.mail.Body, TLS: it.tls,
			Args: []string{"--proxy", proxyOf(senderAddress)}}.Send(ctx)
		return r.Reply, err
	}
	return told(lab.GoSMTPSend{
		Hello: clientName, Proxy: proxyOf(senderAddress), From: it.mail.From, To: []string{it.mail.To}, Body: it.mail.Body,
		Mail: &smtp.MailOptions{UTF8: it.mail.UTF8},
	}.Send(ctx, addr))
}

// told is the decisive reply as the server said it, of what go-smtp makes of it.
func told(text string, err error) (string, error) {
	var refused *smtp.SMTPError
	if errors.As(err, &refused) {
		c := refused.EnhancedCode
		return fmt.Sprintf("%d %d.%d.%d %s", refused.Code, c[0], c[1], c[2], refused.Message), nil
	}
	return "250 " + text, err
}

// takenOut is how the notice begins that stands in the place of an attachment.
const takenOut = "A part of this message was removed by the mail gateway"

// What delivered says.
const (
	nothing   = "nothing"
	unchanged = "delivered, body unchanged"
	taken     = "delivered, a notice in place of the attachment"
)

// find returns the mail as it lies in the mailboxes.
func (w *world) find(m mails.Mail) (found [][]byte, err error) {
	id := field(m.Body, "Message-ID")
	for _, address := range mailboxes() {
		messages, err := w.postfix.Maildir(address).Messages()
		if err != nil {
			return nil, err
		}
		for _, message := range messages {
			if field(message, "Message-ID") == id {
				found = append(found, message)
			}
		}
	}
	return found, nil
}

// results returns Authentication-Results of a delivered mail, as it is folded.
func (w *world) results(m mails.Mail) (string, error) {
	found, err := w.find(m)
	if len(found) == 0 {
		return "", errors.Join(fmt.Errorf("%s is in no mailbox", m.Title), err)
	}
	field := regexp.MustCompile(`(?m)^Authentication-Results: .*\n(?:[ \t].*\n)*`).Find(found[0])
	return string(field), nil
}

// delivered looks for the mail in all mailboxes and says what came.
func (w *world) delivered(m mails.Mail) (string, error) {
	found, err := w.find(m)
	if len(found) == 0 {
		return nothing, err
	}
	if len(found) > 1 {
		return fmt.Sprintf("%d copies", len(found)), nil
	}
	_, sent, _ := bytes.Cut(bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	_, came, _ := bytes.Cut(found[0], []byte("\n\n"))
	said := []string{unchanged}
	switch {
	case bytes.Contains(came, []byte(takenOut)):
		said[0] = taken
	case !bytes.Equal(sent, came):
		said[0] = "delivered, BODY CHANGED"
	}
	for _, name := range []string{"X-Gatepost-Verdict", "X-Spam-Flag", "X-Spam-Score"} {
		if value := field(found[0], name); value != "" {
			said = append(said, name+": "+value)
		}
	}
	return strings.Join(said, "; "), nil
}

// field is the value of a header field that stands on one line.
func field(message []byte, name string) string {
	for line := range bytes.Lines(message) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if n, value, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(n), name) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
