package smtpd

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestDialogs runs the scripts of testdata, in the order of their names. A line of a script is one of
//
//	# comment
//	@ limits {"Recipients": 2}     changes the limits (durations in nanoseconds)
//	@ hop main {"Known": true}     changes what a next hop carries
//	@ from 127.0.0.1:4000          the client's address
//	@ action newline observe       changes what policy does with what a check finds
//	@ without PIPELINING           does not offer it
//	@ mode soft                    the mode of the policy
//	@ tls                          has a certificate
//	@ gate {"Wait": 6000000000}    changes how clients are treated before the banner
//	@ remember good, @ remember bad what is remembered of the client
//	@ list block, @ list allow     the client is on the site's own list
//	@ proxies 10.0.0.0/8           the listener is behind proxies of this network
//	C: MAIL FROM:<a@b.example>     the client sends a line
//	C" "raw\x00octets\r\n"         the client sends octets, as a Go string
//	S: 250 2.1.0                   the server says a line that begins so
//	S* 250                         the server says a whole reply of that code, of any number of lines
//	S-                             the server says nothing
//	T: 5m                          time passes
//	H:                             the client hangs up
//	X:                             the server says nothing more and has closed
//	M: 1                           so many messages were delivered
//	J: connection end=quit         the events in the journal, all of them, in order, each beginning so
//
// The names that begin with 01 to 15 count the defects that were measured in the server of go-smtp v0.25.1, in the order
// of the notes on it. The others of that list: a failed handshake (8) is TestStartTLSFails, a 421 that closes (13) and
// commands that run behind the end (18) TestNothingRunsBehindTheEnd, errors of ours told to strangers (14)
// TestNoStorage, `.CR` at the start of a line (16) TestSmuggling, the stop of the server (17) TestShutdown, and a body that
// is read while it is dropped (19) the count of open bodies behind every test.
func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".dialog"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bubble(t, func(t *testing.T, w *world) {
				d := &dialog{t: t, w: w, from: stranger}
				for n, line := range strings.Split(string(text), "\n") {
					if line != "" && line[0] != '#' {
						d.where = file + ":" + strconv.Itoa(n+1)
						d.step(line)
					}
				}
				d.end()
			})
		})
	}
}

type dialog struct {
	t      *testing.T
	w      *world
	c      *client
	from   string
	where  string
	said   []string // lines of the server that the script did not mention yet
	events []string // that the script expects
}

func (d *dialog) step(line string) {
	d.t.Helper()
	op, rest := line[:2], strings.TrimPrefix(line[2:], " ")
	if op == "@ " {
		d.set(line[2:])
		return
	}
	if d.c == nil && op != "J:" {
		d.c = d.w.dial(d.from)
	}
	switch op {
	case "C:":
		d.c.send(rest + "\r\n")
	case `C"`:
		raw, err := strconv.Unquote(rest)
		if err != nil {
			d.t.Fatalf("%s: %v", d.where, err)
		}
		d.c.send(raw)
	case "S:":
		if got := d.next(); !strings.HasPrefix(got, rest) {
			d.t.Fatalf("%s: the server says %q, not %q", d.where, got, rest)
		}
	case "S*":
		d.whole(rest)
	case "S-":
		if d.hear(); len(d.said) > 0 {
			d.t.Fatalf("%s: the server says %q", d.where, d.said)
		}
	case "T:":
		pause, err := time.ParseDuration(rest)
		if err != nil {
			d.t.Fatalf("%s: %v", d.where, err)
		}
		time.Sleep(pause)
	case "H:":
		d.hear()
		d.c.hangUp()
	case "X:":
		if d.hear(); len(d.said) > 0 || !d.c.gone() {
			d.t.Fatalf("%s: closed is %v, and the server says %q", d.where, d.c.gone(), d.said)
		}
	case "M:":
		d.hear()
		if got := strconv.Itoa(len(d.w.deliver.messages())); got != rest {
			d.t.Fatalf("%s: %s messages were delivered: %+v", d.where, got, d.w.deliver.messages())
		}
	case "J:":
		d.events = append(d.events, rest)
	default:
		d.t.Fatalf("%s: unknown step %q", d.where, line)
	}
}

func (d *dialog) set(line string) {
	d.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "from":
		d.from = rest
	case "action":
		check, action, _ := strings.Cut(rest, " ")
		policy := d.w.snap.Policy.Checks[check]
		err = policy.Action.UnmarshalText([]byte(action))
		d.w.snap.Policy.Checks[check] = policy
	case "mode":
		err = d.w.snap.Policy.Mode.UnmarshalText([]byte(rest))
	case "without":
		d.w.snap.Offers.Pipelining = rest != "PIPELINING"
	case "tls":
		d.w.offerTLS()
	case "gate":
		err = json.Unmarshal([]byte(rest), &d.w.snap.Gate)
	case "remember":
		r := gateway.Remembered{Pregreet: time.Now().Add(time.Hour)}
		if rest == "bad" {
			r.Bad = r.Pregreet
		}
		d.w.srv.Memory = memories{netip.MustParseAddrPort(d.from).Addr(): r}
	case "list":
		d.w.snap.Pipeline.Rows[gateway.Connect] = []gateway.Row{{Checks: []gateway.Check{{Name: "connect", Stage: gateway.Connect,
			Run: func(context.Context, *gateway.Input) gateway.Finding {
				if rest == "allow" {
					return gateway.Passed(gateway.Measure{Name: gateway.AllowMeasure, Value: 1, Text: "entry"})
				}
				return gateway.Failed(gateway.AccessBlocked, "your network")
			}}}}}
	case "proxies":
		d.w.proxies = []netip.Prefix{netip.MustParsePrefix(rest)}
	case "limits":
		err = json.Unmarshal([]byte(rest), &d.w.snap.Limits)
	case "hop":
		name, facts, _ := strings.Cut(rest, " ")
		hop := gateway.Carries{}
		err = json.Unmarshal([]byte(facts), &hop)
		d.w.hops[name] = hop
	default:
		d.t.Fatalf("%s: unknown setting %q", d.where, word)
	}
	if err != nil {
		d.t.Fatalf("%s: %v", d.where, err)
	}
}

func (d *dialog) hear() {
	if text := d.c.heard(); text != "" {
		d.said = append(d.said, strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")...)
	}
}

func (d *dialog) next() string {
	if len(d.said) == 0 {
		d.hear()
	}
	if len(d.said) == 0 {
		return ""
	}
	line := d.said[0]
	d.said = d.said[1:]
	return line
}

func (d *dialog) whole(code string) {
	d.t.Helper()
	for {
		line := d.next()
		if !strings.HasPrefix(line, code) {
			d.t.Fatalf("%s: the server says %q, not %s", d.where, line, code)
		}
		if line[3] == ' ' {
			return
		}
	}
}

func (d *dialog) end() {
	d.t.Helper()
	if d.hear(); len(d.said) > 0 {
		d.t.Errorf("%s: at the end the server says %q", d.where, d.said)
	}
	d.c.hangUp()
	d.hear()
	got := d.w.journal.all()
	for i := range max(len(got), len(d.events)) {
		switch {
		case i >= len(got):
			d.t.Errorf("the journal has no %q", d.events[i])
		case i >= len(d.events):
			d.t.Errorf("the journal has more: %q", got[i])
		case !strings.HasPrefix(got[i], d.events[i]):
			d.t.Errorf("the journal has %q, not %q", got[i], d.events[i])
		}
	}
}
