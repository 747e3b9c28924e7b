package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/mails"
)

// Three more clients, of which nothing is known: one at a line that a provider lends, one that the demo's DNS list has, and
// one that has too much to say.
const (
	guestAddress  = "198.18.0.99"
	guestName     = "host-198-18-0-99.dyn.isp.test"
	listedAddress = "198.18.0.25"
	listedName    = "mx.listed.test"
	floodAddress  = "198.18.0.88"
	floodName     = "mx.flood.test"
)

// What the demo's policy sets lower than its defaults, so that it shows: how long a stranger waits, and how much it may send.
const (
	guestDelay = 2 * time.Second // 2 minutes by default
	floodMost  = 3               // messages in ten minutes, 20 in one by default; on a slow machine these last too
)

// strangerZones are their names, and a list with its test points (RFC 5782 section 5), without which it is not used.
const strangerZones = `
guest.test.                        IN MX  10 mx.sender.test.
host-198-18-0-99.dyn.isp.test.     IN A   198.18.0.99
99.0.18.198.in-addr.arpa.          IN PTR host-198-18-0-99.dyn.isp.test.
listed.test.                       IN MX  10 mx.listed.test.
mx.listed.test.                    IN A   198.18.0.25
25.0.18.198.in-addr.arpa.          IN PTR mx.listed.test.
flood.test.                        IN MX  10 mx.flood.test.
flood.test.                        IN TXT "v=spf1 mx -all"
mx.flood.test.                     IN A   198.18.0.88
88.0.18.198.in-addr.arpa.          IN PTR mx.flood.test.
2.0.0.127.list.lab.test.           IN A   127.0.0.2
25.0.18.198.list.lab.test.         IN A   127.0.0.2
`

// strangers shows them, at the same time: each waits six seconds for its banner.
func (w *world) strangers(ctx context.Context) ([]gated, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var group sync.WaitGroup
	var out [3][]gated
	var errs [3]error
	for i, show := range [...]func(context.Context) ([]gated, error){w.guest, w.listed, w.floods} {
		group.Go(func() { out[i], errs[i] = show(ctx) })
	}
	group.Wait()
	return append(append(out[0], out[1]...), out[2]...), errors.Join(errs[:]...)
}

// stranger sends a mail from a client and says what came of it.
func (w *world) stranger(ctx context.Context, title, client, hello, want string, m mails.Mail) (gated, error) {
	r, err := lab.Swaks{Server: w.gatepost.Addr("proxied"), Hello: hello, From: m.From, To: []string{m.To}, Data: m.Body,
		Args: []string{"--proxy", proxyOf(client)}}.Send(ctx)
	if err != nil {
		return gated{}, fmt.Errorf("%s: %w", title, err)
	}
	return w.came(ctx, gated{title: title, told: r.Reply, want: want}, m)
}

// came fills in what the mailbox got of a mail, and why.
func (w *world) came(ctx context.Context, g gated, m mails.Mail) (gated, error) {
	if strings.HasPrefix(g.told, "250") {
		if err := w.postfix.AwaitEmptyQueue(ctx); err != nil {
			return g, err
		}
	}
	var err error
	if g.got, err = w.delivered(m); err == nil {
		g.why, err = w.why(ctx, g.told, map[string]bool{})
	}
	if err != nil {
		return g, fmt.Errorf("%s: %w", g.title, err)
	}
	return g, nil
}

// deciding are the checks that the stories of strangers are about, in the order of strangers.
func deciding() []string {
	return []string{"greylist", "greylist", "rbl.client", "rate.messages"}
}

// showDeciding prints of the story of each stranger what was found by the check that it is about.
func (w *world) showDeciding(ctx context.Context, out io.Writer, all []gated) error {
	fmt.Fprint(out, "\nThe stories of the strangers, what decided in each:\n")
	for i, check := range deciding() {
		reference := referenceIn(all[i].told)
		story, err := w.tell(ctx, reference)
		if err != nil {
			return err
		}
		lines := finding(story, check)
		if lines == "" {
			return fmt.Errorf("%s: no %s in\n%s", all[i].title, check, story)
		}
		fmt.Fprintf(out, "\n$ gatepost trace %s    (%s)\n%s", reference, all[i].title, lines)
	}
	return nil
}

// finding cuts what a check found out of a story: its line, and the evidence below it.
func finding(story, check string) string {
	var out strings.Builder
	for line := range strings.Lines(story) {
		switch at := strings.Index(line, strings.TrimLeft(line, " ")); {
		case at == 2 && strings.HasPrefix(line[2:], check+" "):
			out.WriteString(line)
		case out.Len() > 0 && at > 2:
			out.WriteString(line)
		case out.Len() > 0:
			return out.String()
		}
	}
	return out.String()
}

// guest comes at once, as every client does, and again when it has waited.
func (w *world) guest(ctx context.Context) ([]gated, error) {
	m := mails.ASCII(mails.Options{From: "nina@guest.test", To: mailbox})
	first, err := w.stranger(ctx, "suspect stranger, first try", guestAddress, guestName, "451 4.7.1 ", m)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(guestDelay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	again, err := w.stranger(ctx, "the same, as it comes again", guestAddress, guestName, "250 ", m)
	return []gated{first, again}, err
}

func (w *world) listed(ctx context.Context) ([]gated, error) {
	m := mails.ASCII(mails.Options{From: "news@listed.test", To: mailbox})
	g, err := w.stranger(ctx, "client on a DNS list", listedAddress, listedName, "550 5.7.1 ", m)
	return []gated{g}, err
}

// floods sends one mail more than a stranger may, in one session.
func (w *world) floods(ctx context.Context) ([]gated, error) {
	conn, err := w.proxied(ctx, floodAddress, "")
	if err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	defer conn.Close()
	c := smtp.NewClient(conn)
	if err := c.Hello(floodName); err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	g := gated{title: fmt.Sprintf("stranger, mail %d in 10 minutes", floodMost+1), want: "451 4.7.1 "}
	var m mails.Mail
	for i := range floodMost + 1 {
		m = mails.ASCII(mails.Options{From: "bulk@flood.test", To: mailbox, Date: time.Now().Add(time.Duration(i) * time.Second)})
		if g.told, err = told(next(c, m)); err != nil {
			return nil, fmt.Errorf("flood: mail %d: %w", i+1, err)
		}
	}
	_ = c.Quit()
	g, err = w.came(ctx, g, m)
	return []gated{g}, err
}

// next sends one more mail in a session.
func next(c *smtp.Client, m mails.Mail) (string, error) {
	if err := c.Mail(m.From, nil); err != nil {
		return "", err
	}
	if err := c.Rcpt(m.To, nil); err != nil {
		return "", err
	}
	to, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := to.Write(m.Body); err != nil {
		return "", err
	}
	r, err := to.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return r.StatusText, nil
}
