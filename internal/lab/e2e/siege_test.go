package e2e

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// How many clients of each kind there are at once; at most as many as one address may have connections.
const dawdlers = 20

var shouters = flag.Int("shouters", 8, "how many clients of each kind TestFloods has at once, at most 20")

// siege is many clients of one kind, from an address of their own.
type siege struct {
	name string
	says []string // each after the reply to the one before
	// Then they say this: with gap an octet at a time, without it whole.
	then  string
	again bool // and again, without reading, until the connection ends
	gap   time.Duration
	limit string // the key of [limits], or what else ends them
	end   string // of the connection, in the journal
	most  int    // commands that the daemon may have run for one of them; 0: the limit is one of time
	told  string // how the last reply begins; "": none
	keep  bool   // they do not close when the daemon has said its last word
	mail  bool   // a message of each of them arrives
}

var (
	greeted   = []string{"EHLO siege.example.org\r\n"}
	inMail    = append(greeted[:1:1], "MAIL FROM:<alice@example.org>\r\n")
	inRcpt    = append(inMail[:2:2], "RCPT TO:<bob@served.test>\r\n")
	inMessage = append(inRcpt[:3:3], "DATA\r\n")
)

const outOfTime = "421 4.4.2 "

// slowClients dawdle at each phase of a session. Each is ended by the limit for that phase.
var slowClients = []siege{
	{name: "says nothing after the banner", limit: "command_timeout", end: "timeout", told: outOfTime},
	{name: "EHLO trickles", then: "EHLO " + strings.Repeat("a", 200), gap: 500 * time.Millisecond, limit: "command_timeout", end: "timeout", told: outOfTime},
	{name: "half STARTTLS", says: greeted, then: "START", limit: "command_timeout", end: "timeout", told: outOfTime},
	{name: "half a ClientHello", says: append(greeted[:1:1], "STARTTLS\r\n"), then: "\x16\x03\x01\x02\x00\x01\x00\x01", limit: "30 s for a handshake", end: "tls"},
	{name: "a ClientHello trickles", says: append(greeted[:1:1], "STARTTLS\r\n"), then: "\x16\x03\x01\x02\x00\x01\x00\x01" + strings.Repeat("\x00", 300), gap: time.Second, limit: "30 s for a handshake", end: "tls"},
	{name: "MAIL trickles", says: greeted, then: "MAIL FROM:<" + strings.Repeat("a", 200), gap: 500 * time.Millisecond, limit: "command_timeout", end: "timeout", told: outOfTime},
	{name: "RCPT trickles", says: inMail, then: "RCPT TO:<" + strings.Repeat("a", 200), gap: 500 * time.Millisecond, limit: "command_timeout", end: "timeout", told: outOfTime},
	{name: "silent within DATA", says: inMessage, then: head + "half", limit: "data_min_rate", end: "timeout", told: outOfTime},
	{name: "DATA trickles", says: inMessage, then: strings.Repeat("x", 500), gap: 100 * time.Millisecond, limit: "data_min_rate", end: "timeout", told: outOfTime},
	{name: "a chunk trickles", says: inRcpt, then: "BDAT 100000 LAST\r\n" + strings.Repeat("x", 500), gap: 100 * time.Millisecond, limit: "data_min_rate", end: "timeout", told: outOfTime},
	{name: "does not read after the dot", says: inMessage, then: head + "whole\r\n.\r\n", limit: "command_timeout", end: "timeout", told: "", mail: true},
	{name: "QUIT, and does not close", says: greeted, then: "QUIT\r\n", limit: "QUIT", end: "quit", told: "221 ", keep: true},
}

// floods say one thing over and over, as fast as they can, and read nothing. Each is ended by a limit that counts.
var floods = []siege{
	{name: "unknown verbs", says: greeted, then: "XYZZY plugh\r\n", limit: "unknown_commands", end: "limit", most: 15},
	{name: "RSET", says: greeted, then: "RSET\r\n", limit: "junk_commands", end: "limit", most: 130},
	{name: "NOOP", says: greeted, then: "NOOP x\r\n", limit: "junk_commands", end: "limit", most: 130},
	{name: "VRFY", says: greeted, then: "VRFY bob\r\n", limit: "junk_commands", end: "limit", most: 130},
	{name: "EXPN", says: greeted, then: "EXPN all\r\n", limit: "errors", end: "limit", most: 130},
	{name: "HELP", says: greeted, then: "HELP\r\n", limit: "junk_commands", end: "limit", most: 130},
	{name: "EHLO", then: "EHLO siege.example.org\r\n", limit: "junk_commands", end: "limit", most: 130},
	{name: "HELO", then: "HELO siege.example.org\r\n", limit: "junk_commands", end: "limit", most: 130},
	{name: "MAIL and RSET", says: greeted, then: "MAIL FROM:<alice@example.org>\r\nRSET\r\n", limit: "transactions", end: "limit", most: 260},
	{name: "MAIL alone", says: greeted, then: "MAIL FROM:<alice@example.org>\r\n", limit: "errors", end: "limit", most: 30},
	{name: "DATA without a recipient", says: inMail, then: "DATA\r\n", limit: "errors", end: "limit", most: 30},
	{name: "RCPT of others", says: inMail, then: "RCPT TO:<bob@elsewhere.test>\r\n", limit: "errors", end: "limit", most: 30},
	{name: "RCPT", says: inMail, then: "RCPT TO:<bob@served.test>\r\n", limit: "recipients", end: "limit", most: 15000},
	{name: "STARTTLS with an argument", says: greeted, then: "STARTTLS now\r\n", limit: "errors", end: "limit", most: 130},
	{name: "STARTTLS with more behind it", says: greeted, then: "STARTTLS\r\n", limit: "nothing may stand behind STARTTLS", end: "protocol", most: 2},
	{name: "AUTH", says: greeted, then: "AUTH PLAIN AGEAYg==\r\n", limit: "errors", end: "limit", most: 130},
	{name: "BDAT 0 outside", says: greeted, then: "BDAT 0\r\n", limit: "errors", end: "limit", most: 130},
	{name: "BDAT 0 inside", says: inRcpt, then: "BDAT 0\r\n", limit: "junk_commands", end: "limit", most: 140},
	{name: "BDAT 1 inside", says: inRcpt, then: "BDAT 1\r\nx", limit: "junk_commands", end: "limit", most: 140},
	{name: "empty lines", says: greeted, then: "\r\n", limit: "errors", end: "limit", most: 30},
	{name: "endless line", says: greeted, then: strings.Repeat("x", 4000), limit: "errors", end: "limit", most: 30},
	{name: "binary", says: greeted, then: "\x00\xff\x80\r\n", limit: "checks.verb", end: "protocol", most: 30},
}

// TestSlowClients: however slowly clients speak or read, in whatever phase, hundreds at once: each is ended by its limit,
// others are served meanwhile, and nothing is left of them.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	w := begin(t, siegeSetup(noWaits+"command_timeout = \"5s\"\ndata_timeout = \"10s\"\ndata_window = \"5s\"\n"))
	w.besiege(t, slowClients, dawdlers)
}

// TestFloods: whatever clients say as fast as they can, hundreds at once: each is ended by its limit, others are served
// meanwhile, and nothing is left of them.
func TestFloods(t *testing.T) {
	t.Parallel()
	w := begin(t, siegeSetup(noWaits))
	for i := range floods {
		floods[i].again = true
	}
	w.besiege(t, floods, *shouters)
}

func siegeSetup(limits string) setup {
	s := crowdSetup(0)
	// That a client which failed a bot test may hardly connect again is not what ends these.
	s.limits = limits + "connections_per_client_bad = 20\n"
	return s
}

// besiege runs all kinds at the same time.
func (w *world) besiege(t *testing.T, kinds []siege, each int) {
	before := w.warm(t)
	had := len(w.hop(t).Accepted())
	var group sync.WaitGroup
	for i, k := range kinds {
		for n := range each {
			group.Go(func() {
				if err := k.attack(w.addr(), i, n); err != nil {
					t.Errorf("%s: %v", k.name, err)
				}
			})
		}
	}
	over := make(chan struct{})
	go func() { group.Wait(); close(over) }()
	served := 0
	for going := true; going; {
		w.served(t, "during the siege")
		served++
		select {
		case <-over:
			going = false
		case <-time.After(200 * time.Millisecond):
		}
	}
	mails := served
	for i, k := range kinds {
		if k.mail {
			mails += each
		}
		w.besieged(t, i, k, each)
	}
	if got := len(w.hop(t).Accepted()) - had; got != mails {
		t.Errorf("the next hop has %d messages, not %d", got, mails)
	}
	after := w.returns(t, before)
	t.Logf("%d clients of %d kinds; another one's %d messages passed meanwhile\n  before %v\n  after  %v", len(kinds)*each, len(kinds), served, before, after)
}

// besieged looks at what the journal says of a kind.
func (w *world) besieged(t *testing.T, kind int, k siege, each int) {
	t.Helper()
	from := crowdAddress(kind * perAddress).IP.String()
	ended := 0
	fits := func(e event) bool {
		return e.text("kind") == "connection" && strings.HasPrefix(strings.Trim(e.text("client"), "["), from)
	}
	if _, err := w.await(t.Context(), each-1, k.name, fits); err != nil {
		t.Error(err)
	}
	for _, e := range w.lines(t) {
		if !fits(e) {
			continue
		}
		var commands int
		_, _ = fmt.Sscan(e.text("commands"), &commands)
		if e.text("end") != k.end || k.most > 0 && commands > k.most {
			t.Errorf("%s: not ended by %s: %s", k.name, k.limit, show([]event{e}))
			return
		}
		ended++
	}
	if ended != each {
		t.Errorf("%s: %d of %d connections in the journal", k.name, ended, each)
	}
}

// siegeTime is how long a client may be held at the most, by the longest of the limits here and a busy machine.
const siegeTime = 3 * time.Minute

// attack is one client.
func (k *siege) attack(addr string, kind, n int) error {
	conn, err := crowdDial(addr, kind*perAddress+n)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(siegeTime))
	in := bufio.NewReader(conn)
	for _, text := range append([]string{""}, k.says...) {
		if _, err := conn.Write([]byte(text)); err != nil {
			return err
		}
		if code, err := readReply(in); err != nil || code >= "4" {
			return fmt.Errorf("told %s to %q: %v", code, text, err)
		}
	}
	// Who writes without reading learns of the end by a failed write.
	k.assail(conn)
	last := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				return fmt.Errorf("still there after %v", siegeTime)
			}
			break
		}
		last = line
	}
	if !k.again && !k.mail && !strings.HasPrefix(last, k.told) {
		return fmt.Errorf("told %q at the end, not %q", last, k.told)
	}
	if k.keep {
		time.Sleep(time.Second)
	}
	return nil
}

// assail says what the client has to say; at most so much of it as no limit lets through.
func (k *siege) assail(conn net.Conn) {
	if k.gap > 0 {
		for i := range k.then {
			if _, err := conn.Write([]byte{k.then[i]}); err != nil {
				return
			}
			time.Sleep(k.gap)
		}
		return
	}
	if !k.again {
		_, _ = conn.Write([]byte(k.then))
		return
	}
	block := []byte(strings.Repeat(k.then, 1+8000/len(k.then)))
	for sent := 0; sent < 20<<20; sent += len(block) {
		if _, err := conn.Write(block); err != nil {
			return
		}
	}
}

// readReply reads one reply and returns its code.
func readReply(in *bufio.Reader) (code string, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil || len(line) < 4 {
			return "", fmt.Errorf("%q: %w", line, err)
		}
		if line[3] != '-' {
			return line[:3], nil
		}
	}
}
