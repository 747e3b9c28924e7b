package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dialog"
	"gatepost/internal/lab/labtest"
)

// TestDialogs plays every script of testdata/dialogs: drop a file there, get a test. A script says what the client says
// and hears, what arrives at the next hop (N:), and what stands in the journal:
//
//	-- daemon NAME                        which daemon of the table it is played against; its first step
//	-- event transaction verdict=reject   the script's next event of this kind, see event.check
//	-- field NAME TEXT                    a field that the gateway wrote into the last message (N:)
//	-- without NAME                       a field that it did not write
//	-- commands TEXT...                   all that the next hop heard since the last time, as verbs
//	-- nexthop ...                        see lab.NextHop; for several: -- nexthop ROUTE ...
//	-- clamd STEP TEXT, -- spamd ...      what the fake scanner says from now on
//	-- also connects N                    N more connections, which stay and say nothing
//	-- also refused TEXT                  one more connection, which is told TEXT and closed
//	-- nexthop refused N                  so many messages came whole and were not taken over
//	-- only-alert                         the server closes the connection, with a TLS alert at most
//
// What a script does not name must not be: a message that arrived, or a transaction in the journal, is an error.
func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogs/*.txt")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	groups := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := daemonLine.FindSubmatch(text)
		if found == nil || !strings.HasPrefix(string(text), "# ") {
			t.Fatalf("%s: want a comment on its purpose, and a line: -- daemon NAME", file)
		}
		groups[string(found[1])] = append(groups[string(found[1])], file)
	}
	for name, scripts := range groups {
		s, ok := daemons[name]
		if !ok {
			t.Fatalf("%s: there is no daemon %q", scripts[0], name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, s)
			for _, file := range scripts {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { w.play(t, file) })
			}
			t.Run("judged again", w.replays)
		})
	}
}

var daemonLine = regexp.MustCompile(`(?m)^-- daemon ([a-z0-9-]+)$`)

// play plays one script, with all fakes as if they were new.
func (w *world) play(t *testing.T, file string) {
	for _, h := range w.hops {
		h.Forget()
	}
	p := &player{world: w, ports: map[string]bool{}, named: map[string]int{}, taken: map[string]int{}}
	defer p.hangUp()
	labtest.Dialog(t, file, dialog.Hooks{
		Dial: p.dial, TLS: &tls.Config{InsecureSkipVerify: true}, Arrived: p.arrived,
		Do: map[string]func(context.Context, []string) error{
			"daemon": func(context.Context, []string) error { return nil },
			"event":  p.event, "field": p.field, "without": p.without, "nexthop": p.nextHop, "commands": p.commands,
			"only-alert": p.onlyAlert, "clamd": p.clamdSays, "spamd": p.spamdSays, "also": p.also,
		},
	})
	if t.Failed() {
		return
	}
	if err := p.nothingElse(); err != nil {
		t.Error(err)
	}
}

// player is one script that runs.
type player struct {
	*world
	ports  map[string]bool // client addresses of its connections
	named  map[string]int  // events that it named, by kind
	taken  map[string]int  // messages that it named, by route
	last   *arrival        // the last of them
	heard  int             // commands of the route internal that it named
	conn   net.Conn        // the newest
	others []net.Conn
}

func (p *player) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.addr())
	if err == nil {
		p.ports[conn.LocalAddr().String()] = true
		p.conn = conn
	}
	return conn, err
}

func (p *player) hangUp() {
	for _, c := range p.others {
		c.Close()
	}
}

// onlyAlert reads to the end of the connection: no SMTP is spoken behind a TLS handshake that failed.
func (p *player) onlyAlert(context.Context, []string) error {
	if err := p.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	said, err := io.ReadAll(p.conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	if len(said) > 0 && said[0] != 21 { // RFC 8446 section 5.1: a record of type alert
		return fmt.Errorf("the server said %q", said)
	}
	return nil
}

// also opens more connections and waits for their banners.
func (p *player) also(ctx context.Context, args []string) error {
	if len(args) > 1 && args[0] == "refused" {
		return p.refused(ctx, strings.Join(args[1:], " "))
	}
	if len(args) != 2 || args[0] != "connects" {
		return errors.New("want: also connects N, or: also refused TEXT")
	}
	n, err := strconv.Atoi(args[1])
	for ; err == nil && n > 0; n-- {
		var line string
		if _, line, err = p.banner(ctx); err == nil && !strings.HasPrefix(line, "220 ") {
			err = fmt.Errorf("the server said %q", line)
		}
	}
	return err
}

// refused opens one more connection, which must be told the text and closed.
func (p *player) refused(ctx context.Context, text string) error {
	c, line, err := p.banner(ctx)
	if err != nil {
		return err
	}
	if rest, err := io.ReadAll(c); line != text+"\r\n" || err != nil || len(rest) > 0 {
		return fmt.Errorf("the server said %q and %q, %v", line, rest, err)
	}
	return nil
}

// banner opens a connection and reads the first line.
func (p *player) banner(ctx context.Context) (net.Conn, string, error) {
	c, err := p.dial(ctx)
	if err != nil {
		return nil, "", err
	}
	p.others = append(p.others, c)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, "", err
	}
	line := make([]byte, 0, 512)
	for !bytes.HasSuffix(line, []byte("\n")) && err == nil {
		var octet [1]byte
		if _, err = io.ReadFull(c, octet[:]); err == nil {
			line = append(line, octet[0])
		}
	}
	return c, string(line), err
}

func (p *player) mine(kind string) func(event) bool {
	return func(e event) bool { return e.text("kind") == kind && p.ports[e.text("client")] }
}

func (p *player) event(ctx context.Context, args []string) error {
	if len(args) < 2 || args[0] != "connection" && args[0] != "transaction" {
		return errors.New("want: event connection|transaction NAME=VALUE...")
	}
	e, err := p.await(ctx, p.named[args[0]], args[0], p.mine(args[0]))
	if err != nil {
		return err
	}
	p.named[args[0]]++
	if err := e.check(args[1:]); err != nil {
		return fmt.Errorf("%w, in\n%s", err, show([]event{e}))
	}
	return nil
}

// arrived compares the next message of the next hop with N: lines: MAIL without SIZE, each RCPT, and the content.
func (p *player) arrived(ctx context.Context, lines []string) error {
	name := "internal"
	if route, ok := strings.CutPrefix(lines[0], "route "); ok {
		name, lines = route, lines[1:]
	}
	hop := p.hops[name]
	if hop == nil {
		return fmt.Errorf("there is no next hop %q", name)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	all, err := hop.AwaitAccepted(ctx, p.taken[name]+1)
	if err != nil {
		return err
	}
	a, err := readArrival(all[p.taken[name]])
	if err != nil {
		return err
	}
	p.taken[name]++
	p.last = &a
	n := 0
	for n < len(lines) && (strings.HasPrefix(lines[n], "MAIL ") || strings.HasPrefix(lines[n], "RCPT ")) {
		n++
	}
	if !slices.Equal(a.commands, lines[:n]) {
		return fmt.Errorf("the next hop heard %q, not %q", a.commands, lines[:n])
	}
	if want := strings.Join(lines[n:], "\r\n") + "\r\n"; n < len(lines) && a.content != want {
		return fmt.Errorf("the next hop got\n%.2000q\nnot\n%.2000q", a.content, want)
	}
	return nil
}

func (p *player) field(_ context.Context, args []string) error {
	if len(args) < 2 || p.last == nil {
		return errors.New("want: field NAME TEXT, behind N: lines")
	}
	if got, _ := p.last.field(args[0]); got != strings.Join(args[1:], " ") {
		return fmt.Errorf("%s is %q; the gateway wrote %q", args[0], got, p.last.fields)
	}
	return nil
}

func (p *player) without(_ context.Context, args []string) error {
	if len(args) != 1 || p.last == nil {
		return errors.New("want: without NAME, behind N: lines")
	}
	if got, ok := p.last.field(args[0]); ok {
		return fmt.Errorf("%s is %q", args[0], got)
	}
	return nil
}

// commands compares all verbs that the next hop heard since the last time; the pool may have said EHLO and QUIT.
func (p *player) commands(_ context.Context, args []string) error {
	all := p.hops["internal"].Commands()
	verbs := []string{}
	for _, line := range all[p.heard:] {
		verb, _, _ := strings.Cut(line, " ")
		if verb != "EHLO" && verb != "QUIT" {
			verbs = append(verbs, verb)
		}
	}
	p.heard = len(all)
	if want := slices.DeleteFunc(args, func(s string) bool { return s == "none" }); !slices.Equal(verbs, want) {
		return fmt.Errorf("the next hop heard %q, not %q", verbs, want)
	}
	return nil
}

func (p *player) nextHop(ctx context.Context, args []string) error {
	name := "internal"
	if len(args) > 0 && p.hops[args[0]] != nil {
		name, args = args[0], args[1:]
	}
	switch {
	case slices.Equal(args, []string{"got", "nothing"}):
		args = []string{"got", "0"}
	case len(args) == 2 && args[0] == "refused":
		return p.hopRefused(name, args[1])
	}
	return p.hops[name].Directive(ctx, args)
}

func (p *player) hopRefused(name, number string) error {
	n := 0
	for _, r := range p.hops[name].Messages() {
		if r.Complete && !r.Accepted {
			n++
		}
	}
	p.taken[name] += n
	if strconv.Itoa(n) != number {
		return fmt.Errorf("next hop %s refused %d messages", name, n)
	}
	return nil
}

func (p *player) clamdSays(_ context.Context, args []string) error {
	return says(args, p.clamd.On, "\x00")
}

func (p *player) spamdSays(_ context.Context, args []string) error { return says(args, p.spamd.On, "") }

func says(args []string, on func(string, ...lab.Action), end string) error {
	switch {
	case len(args) == 2 && args[1] == "usual":
		on(args[0])
	case len(args) > 1:
		text := strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(strings.Join(args[1:], " "))
		on(args[0], lab.Action{Bytes: []byte(text + end), Then: lab.Close})
	default:
		return errors.New("want: a step and what it says")
	}
	return nil
}

// nothingElse fails when more happened than the script named.
func (p *player) nothingElse() error {
	for name, h := range p.hops {
		// A connection that was closed behind the 354 brought nothing.
		all := slices.DeleteFunc(h.Messages(), func(r lab.Received) bool { return len(r.Raw) == 0 })
		if len(all) != p.taken[name] {
			return fmt.Errorf("next hop %s got %d messages and the script names %d; the last is %.2000q", name, len(all), p.taken[name], all[len(all)-1].Raw)
		}
	}
	all, err := p.events()
	if err != nil {
		return err
	}
	mine := slices.DeleteFunc(all, func(e event) bool { return !p.mine("transaction")(e) })
	if len(mine) != p.named["transaction"] {
		return fmt.Errorf("the journal has %d transactions and the script names %d:\n%s", len(mine), p.named["transaction"], show(mine))
	}
	return nil
}
