package e2e

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/lab/mails"
)

// realParts are what surrounds the daemon in earnest: clamd, spamd, and a Postfix as the internal MTA, which sends what it
// has to say through the Postfix of the senders. Only the names are the lab's own. Each part can be stopped, and started
// again where it was.
type realParts struct {
	owner  testing.TB // at whose end the parts end
	dir    string
	names  *dnslab.Server
	clamd  *lab.Clamd
	spamd  *lab.Spamd
	inside *lab.Postfix
	ports  struct{ clamd, spamd, inside, outside *lab.Port }
}

// realZones are the names of the sender, of the domains served and of the machine that all of them are on.
var realZones = dnslab.Text(`
sender.test.             MX 10 mail.sender.test.
mail.sender.test.        A 192.0.2.10
mta.sender.test.         A 127.0.0.1
1.0.0.127.in-addr.arpa.  PTR mta.sender.test.
lab.test.                MX 10 mx.gatepost.test.
mx.gatepost.test.        A 127.0.0.1
`)

const (
	sender  = "anna@sender.test"
	mailbox = "post@lab.test"
)

// mailboxes are those that the internal MTA has; the daemon serves all their domains.
func mailboxes() []string {
	return []string{mailbox, "paul@lab.test", "petra@lab.test", "bulk@lab.test", "big@lab.test", "post@pinned.test", "post@named.test",
		"postmaster@lab.test", "postmaster@pinned.test", "postmaster@named.test"} // the daemon tells of a domain that has none, when it comes to ask
}

// keptPort is a port that a part may be started at again.
func keptPort(t testing.TB) *lab.Port {
	t.Helper()
	p, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}

func startReal(t testing.TB) *realParts {
	t.Helper()
	p := &realParts{owner: t, dir: labtest.Dir(t), names: dnslab.New(t, realZones)}
	for _, port := range []**lab.Port{&p.ports.clamd, &p.ports.spamd, &p.ports.inside, &p.ports.outside} {
		*port = keptPort(t)
	}
	ctx := labtest.Context(t)
	p.startClamd(ctx, t)
	p.startSpamd(ctx, t)
	p.startInside(ctx, t)
	return p
}

func (p *realParts) startClamd(ctx context.Context, t testing.TB) {
	t.Helper()
	c, err := lab.StartClamd(ctx, filepath.Join(p.dir, "c"), lab.ClamdOptions{Port: p.ports.clamd})
	p.started(t, c, err)
	p.clamd = c
}

func (p *realParts) startSpamd(ctx context.Context, t testing.TB) {
	t.Helper()
	s, err := lab.StartSpamd(ctx, filepath.Join(p.dir, "s"), lab.SpamdOptions{DNS: p.names.Addr(), Port: p.ports.spamd})
	p.started(t, s, err)
	p.spamd = s
}

func (p *realParts) startInside(ctx context.Context, t testing.TB) {
	t.Helper()
	m, err := lab.StartPostfix(ctx, filepath.Join(p.dir, "m"), lab.PostfixOptions{
		Name: "inside.lab.test", Mailboxes: mailboxes(), TLS: true, Relay: p.ports.outside.Addr(), Port: p.ports.inside,
	})
	p.started(t, m, err)
	p.inside = m
}

// started makes the part end with the parts' owner, where the test has not ended it.
func (p *realParts) started(t testing.TB, part interface {
	Stop() error
	Running() bool
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p.owner.Cleanup(func() {
		if !part.Running() {
			return
		}
		if err := part.Stop(); err != nil {
			p.owner.Errorf("stop: %v", err)
		}
	})
}

// gate starts a daemon between the parts, with lab.test on the route "internal" in clear.
func (p *realParts) gate(t testing.TB, s setup) *world {
	t.Helper()
	s.clamav, s.spamd, s.dns = "unix:"+p.clamd.Socket, p.spamd.Addr, p.names.Addr()
	if s.clamavTimeout == "" {
		s.clamavTimeout = "60s"
	}
	if s.spamdTimeout == "" {
		s.spamdTimeout = "30s"
	}
	if len(s.routes) == 0 {
		s.routes = []route{{name: "internal", domains: []string{"lab.test"}, addr: p.inside.Addr}}
	}
	w := newWorld(t, s)
	w.config = strings.Replace(w.config, "[clamav]\n", "[clamav]\nlocal_only = true\n", 1)
	w.start(t)
	return w
}

// sends starts the Postfix that the senders use; it has anna's mailbox and hands all other mail to the daemon.
func (p *realParts) sends(t testing.TB, w *world, settings ...string) *lab.Postfix {
	t.Helper()
	return labtest.Postfix(t, lab.PostfixOptions{
		Name: "mta.sender.test", Mailboxes: []string{sender}, Relay: w.addr(), Port: p.ports.outside, Settings: settings,
	})
}

// alsoSends starts another one, for another daemon.
func alsoSends(t testing.TB, w *world) *lab.Postfix {
	t.Helper()
	return labtest.Postfix(t, lab.PostfixOptions{Name: "mta.sender.test", Mailboxes: []string{sender}, Relay: w.addr()})
}

// letter is a short mail with a Message-ID of its own.
func letter(to string) mails.Mail {
	return mails.ASCII(mails.Options{From: sender, To: to, Date: time.Now()})
}

// messageID is the Message-ID without its angle brackets.
func messageID(t testing.TB, message []byte) string {
	t.Helper()
	_, rest, ok := bytes.Cut(message, []byte("\nMessage-ID: <"))
	id, _, ended := bytes.Cut(rest, []byte(">"))
	if !ok || !ended {
		t.Fatalf("no Message-ID in %.500q", message)
	}
	return string(id)
}

// send queues a mail at the sending Postfix.
func send(ctx context.Context, t testing.TB, from *lab.Postfix, m mails.Mail, more ...string) {
	t.Helper()
	if err := from.Send(ctx, m.From, append([]string{m.To}, more...), m.Body); err != nil {
		t.Fatal(err)
	}
}

// copies are the messages of a mailbox with a Message-ID.
func copies(t testing.TB, box lab.Maildir, id string) [][]byte {
	t.Helper()
	all, err := box.Messages()
	if err != nil {
		t.Fatal(err)
	}
	return withID(all, id)
}

// withID are those of the messages with a Message-ID.
func withID(all [][]byte, id string) (found [][]byte) {
	for _, m := range all {
		if bytes.Contains(m, []byte("\nMessage-ID: <"+id+">")) {
			found = append(found, m)
		}
	}
	return found
}

// arrives waits for a mail and fails when it comes more than once or is not, from its first header field to its last octet,
// what was sent. It returns the fields above, those of Gatepost and of the two Postfix, unfolded.
func arrives(ctx context.Context, t testing.TB, box lab.Maildir, sent []byte) []string {
	t.Helper()
	return arrivesIn(ctx, t, func(id string) [][]byte { return copies(t, box, id) }, sent)
}

// arrivesIn is arrives for any mailbox: what finds the messages with a Message-ID in it.
func arrivesIn(ctx context.Context, t testing.TB, box func(id string) [][]byte, sent []byte) []string {
	t.Helper()
	// What does not come in that time was refused, or lost.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	id := messageID(t, sent)
	var found [][]byte
	if err := eventually(ctx, func() (string, bool) {
		found = box(id)
		return fmt.Sprintf("%d copies of %s", len(found), id), len(found) > 0
	}); err != nil {
		t.Fatal(err)
	}
	if len(found) > 1 {
		t.Fatalf("%s arrived %d times", id, len(found))
	}
	above, ok := bytes.CutSuffix(found[0], bytes.ReplaceAll(sent, []byte("\r\n"), []byte("\n")))
	if !ok {
		t.Fatalf("%s was changed:\n%.4000s", id, found[0])
	}
	var fields []string
	for line := range strings.Lines(string(above)) {
		if line[0] == ' ' || line[0] == '\t' {
			fields[len(fields)-1] += " " + strings.TrimSpace(line)
			continue
		}
		fields = append(fields, strings.TrimRight(line, "\n"))
	}
	return fields
}

// names are the names of fields.
func fieldNames(fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ":")
		b.WriteString(name + " ")
	}
	return strings.TrimSpace(b.String())
}

// fieldOf is the value of the first field of a name.
func fieldOf(fields []string, name string) string {
	for _, f := range fields {
		if value, ok := strings.CutPrefix(f, name+": "); ok {
			return value
		}
	}
	return ""
}

// eventually asks until it is so, and says at the context's end what was there instead.
func eventually(ctx context.Context, ask func() (now string, ok bool)) error {
	for {
		now, ok := ask()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still %s: %w", now, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// queueSays waits until the queue of a sending MTA tells so of a mail that waits in it.
func queueSays(ctx context.Context, t testing.TB, from *lab.Postfix, want string) {
	t.Helper()
	if err := eventually(ctx, func() (string, bool) {
		queue, err := from.Queue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return queue, strings.Contains(queue, want)
	}); err != nil {
		t.Fatalf("the queue does not say %q: %v\n%s", want, err, from.Log())
	}
}

// drains waits until nothing waits at a sending MTA, which is told to try again and again.
func drains(ctx context.Context, t testing.TB, from *lab.Postfix) {
	t.Helper()
	tried := time.Now()
	if err := eventually(ctx, func() (string, bool) {
		queue, err := from.Queue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(tried) > time.Second {
			tried = time.Now()
			if err := from.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		return queue, queue == ""
	}); err != nil {
		t.Fatalf("%v\n%s", err, from.Log())
	}
}

// settles waits until nothing is on its way any more, and then fails unless each mail arrived once.
func (p *realParts) settles(ctx context.Context, t testing.TB, from *lab.Postfix, all ...mails.Mail) {
	t.Helper()
	drains(ctx, t, from)
	if err := p.inside.AwaitEmptyQueue(ctx); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		arrives(ctx, t, p.inside.Maildir(m.To), m.Body)
	}
}

// reference is the form of the references that senders are told.
var reference = regexp.MustCompile(`\b[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{4}\b`)

// story is what gatepost trace tells of a reference; the log is written after the reply.
func (w *world) story(ctx context.Context, t testing.TB, reference string) string {
	t.Helper()
	var story string
	if err := eventually(ctx, func() (string, bool) {
		out, complaint, code, err := w.daemon.Command(ctx, "trace", reference)
		if err != nil {
			t.Fatal(err)
		}
		story = out
		return complaint, code == 0
	}); err != nil {
		t.Fatalf("trace %s: %v", reference, err)
	}
	return story
}
