package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// mapDNS answers from a table: "MX example.org".
type mapDNS map[string]Answer

func (m mapDNS) Lookup(_ context.Context, name string, kind Kind) Answer {
	if a, ok := m[string(kind)+" "+name]; ok {
		return a
	}
	return Answer{Status: None}
}

func (m mapDNS) Reverse(_ context.Context, a netip.Addr) Answer {
	if x, ok := m["PTR "+a.String()]; ok {
		return x
	}
	return Answer{Status: None}
}

func addrs(list ...string) Answer {
	a := Answer{Status: Found}
	for _, x := range list {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(x))
	}
	return a
}

// server is a fake that refuses what it does not serve, as a gateway does.
func server(t *testing.T, o lab.NextHopOptions) *lab.NextHop {
	t.Helper()
	s, err := lab.StartNextHop(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.On("RCPT", lab.Reply("550 5.7.1 relaying denied"))
	return s
}

// pair makes a certificate, and the pool of what vouches for it.
func pair(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	certificate, key, err := lab.NewCertificate(names...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return c, pool
}

const here = "nexthop.lab.test" // as the fake greets

// worldOf is a world whose listener is a fake's.
func worldOf(s *lab.NextHop, roots *x509.CertPool) *World {
	return &World{Hostname: here, Domains: []Domain{{Name: "example.org"}}, DNS: mapDNS{}, Dial: (&net.Dialer{}).DialContext, Now: time.Now,
		Listener: Listener{Named: s.Addr(), Roots: roots}}
}

var (
	ports = regexp.MustCompile(`127\.0\.0\.\d+:\d+`)
	days  = regexp.MustCompile(`\d{4}-\d\d-\d\d`)
)

// page is what a group says, one line a text, with ports and days taken out; of lines that are ok only the id.
func page(t *testing.T, g Group) (out []string) {
	t.Helper()
	for _, l := range Examine(t.Context(), []Group{g}, time.Minute)[0].Lines {
		if !slices.Contains(IDs(), l.ID) {
			t.Errorf("%s is none of the lines that there are", l.ID)
		}
		text := l.Verdict.String() + " " + l.ID
		if l.Verdict != OK {
			text = strings.Join(append([]string{text + " " + l.About + ": " + l.Saw}, l.Fix...), " -> ")
		}
		out = append(out, days.ReplaceAllString(ports.ReplaceAllString(text, "ADDR"), "DAY"))
	}
	return out
}

const allWell = "ok listener.reach|ok listener.banner|ok listener.offers|ok listener.starttls|ok listener.certificate|ok listener.relay"

// replaced is allWell with other lines in place of some.
func replaced(lines ...string) string {
	all := strings.Split(allWell, "|")
	for _, l := range lines {
		for i, x := range all {
			_, id, _ := strings.Cut(x, " ")
			if strings.Contains(l, " "+id+" ") {
				all[i] = l
			}
		}
	}
	return strings.Join(all, "|")
}

// TestListener shows each thing that a stranger may meet, with the fix.
func TestListener(t *testing.T) {
	good, roots := pair(t, here)
	plain := lab.NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{good}}}
	const tlsFix = " -> gatepost tls status shows what is shown and why; docs/certificates.md tells how to have one made (ACME)"
	for _, c := range []struct {
		name    string
		options lab.NextHopOptions
		set     func(s *lab.NextHop, w *World)
		want    string
	}{
		{"good", plain, nil, allWell},
		{"not there", plain, func(s *lab.NextHop, _ *World) { s.Close() },
			"FAIL listener.reach ADDR: no client gets in: dial tcp ADDR: connect: connection refused -> systemctl status gatepost; is a firewall in front of it?"},
		{"hangs up", plain, func(s *lab.NextHop, _ *World) { s.On("CONNECT", lab.Gone()) },
			"FAIL listener.reach ADDR: no client gets in: banner: reply: EOF -> systemctl status gatepost; is a firewall in front of it?"},
		{"refuses", plain, func(s *lab.NextHop, _ *World) { s.On("CONNECT", lab.ReplyThenClose("421 4.3.2 draining")) },
			"ok listener.reach|FAIL listener.banner ADDR: refuses: 421 draining -> gatepost log search --client ADDRESS says why; gatepost status shows whether it drains"},
		{"another server", plain, func(_ *lab.NextHop, w *World) { w.Hostname, w.Listener.Roots = "mx.example.org", nil },
			"ok listener.reach|FAIL listener.banner ADDR: greets as nexthop.lab.test, not as mx.example.org: another server answers there -> let port 25 of this address lead here, or hostname: hostname = \"nexthop.lab.test\"|" +
				"ok listener.offers|ok listener.starttls|warn listener.certificate ADDR: is not for mx.example.org, which senders look for (MTA-STS)" + tlsFix + "|ok listener.relay"},
		{"no EHLO", plain, func(s *lab.NextHop, _ *World) { s.On("EHLO", lab.Reply("502 5.5.1 what?")) },
			"ok listener.reach|ok listener.banner|FAIL listener.offers ADDR: EHLO: 502 what? -> gatepost status"},
		{"logins", lab.NextHopOptions{TLS: plain.TLS, Extensions: []string{"SIZE 1000", "AUTH PLAIN LOGIN"}}, nil,
			replaced("warn listener.offers ADDR: offers AUTH before TLS: strangers guess passwords here, and read them -> a gateway for mail from outside needs no logins: take AUTH off what answers there")},
		{"no TLS", lab.NextHopOptions{}, nil,
			strings.Replace(replaced("warn listener.starttls ADDR: offers no STARTTLS: mail comes in clear -> gatepost check; gatepost tls status"), "|ok listener.certificate", "", 1)},
		{"no TLS on purpose", lab.NextHopOptions{}, func(_ *lab.NextHop, w *World) {
			w.Listener.Without = []string{"STARTTLS"}
			w.At = func(string) string { return "policy.toml:7" }
		},
			strings.Replace(replaced("warn listener.starttls ADDR: offers no STARTTLS: mail comes in clear -> policy.toml:7: [smtp] without = []    without STARTTLS"), "|ok listener.certificate", "", 1)},
		{"TLS is refused", plain, func(s *lab.NextHop, _ *World) { s.On("STARTTLS", lab.Reply("454 4.7.0 not now")) },
			strings.Replace(replaced("FAIL listener.starttls ADDR: STARTTLS: 454 not now: senders fall back to clear, or do not deliver -> gatepost tls status; openssl s_client -starttls smtp -connect ADDR"), "|ok listener.certificate", "", 1)},
		{"old TLS", lab.NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10}}, nil,
			replaced("warn listener.starttls ADDR: TLS 1.3, TLS_AES_128_GCM_SHA256; TLS 1.1 is taken too, which RFC 8996 forbids -> let what ends TLS there ask for 1.2 at least")},
		{"self-signed", plain, func(_ *lab.NextHop, w *World) { w.Listener.Roots = x509.NewCertPool() },
			replaced("warn listener.certificate ADDR: no public authority vouches for it: senders with MTA-STS do not deliver; those with DANE look at TLSA only" + tlsFix)},
		{"other name", plain, func(_ *lab.NextHop, w *World) {
			w.DNS = mapDNS{"MX example.org": {Status: Found, Hosts: []Host{{Name: "mail.example.org"}}}, "A+AAAA mail.example.org": addrs("192.0.2.25"), "A+AAAA " + here: addrs("192.0.2.25")}
		},
			replaced("warn listener.certificate ADDR: is not for mail.example.org, which senders look for (MTA-STS)" + tlsFix)},
		{"ends soon", plain, func(_ *lab.NextHop, w *World) { w.Now = in(25 * 24 * time.Hour) },
			replaced("warn listener.certificate ADDR: ends on DAY, in 4 days: less than a third of its lifetime is left, and no new one came" + tlsFix)},
		{"ended", plain, func(_ *lab.NextHop, w *World) { w.Now = in(31 * 24 * time.Hour) },
			replaced("FAIL listener.certificate ADDR: ended on DAY: senders that verify do not deliver" + tlsFix)},
		{"not yet", plain, func(_ *lab.NextHop, w *World) { w.Now = in(-48 * time.Hour) },
			replaced("FAIL listener.certificate ADDR: begins only on DAY: is the clock right?" + tlsFix)},
		{"nowhere to look", plain, func(_ *lab.NextHop, w *World) { w.Listener = Listener{} },
			"? listener.reach : all listeners are behind a proxy -> name the proxy's address: gatepost doctor --listener HOST:25"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := server(t, c.options)
			w := worldOf(s, roots)
			if c.set != nil {
				c.set(s, w)
			}
			if got := strings.Join(page(t, Group{"listener", w.lookListener}), "|"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(got, "|", "\n"), strings.ReplaceAll(c.want, "|", "\n"))
			}
			for _, line := range s.Commands() {
				if line == "DATA" || strings.HasPrefix(line, "BDAT") {
					t.Errorf("%s was sent", line)
				}
			}
		})
	}
}

// in is a clock that is ahead.
func in(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }

// TestReached shows that the addresses of the hostname are looked at as strangers reach them, and that one that cannot be
// reached from here is neither good nor bad.
func TestReached(t *testing.T) {
	s := server(t, lab.NextHopOptions{})
	w := worldOf(s, nil)
	w.Listener.Named = ""
	w.DNS = mapDNS{"A+AAAA " + here: addrs("203.0.113.7", "203.0.113.8", "10.0.0.1")}
	w.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		switch address {
		case "203.0.113.7:25":
			address = s.Addr()
		case "203.0.113.8:25":
			return nil, context.DeadlineExceeded
		default:
			t.Errorf("%s was dialled", address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	got := page(t, Group{"listener", w.lookListener})
	want := "? listener.reach 203.0.113.8:25: cannot be reached from here (context deadline exceeded), which says little of the world outside -> on another host: gatepost doctor --only listener --listener 203.0.113.8:25"
	if len(got) < 3 || got[0] != want || got[1] != "ok listener.reach" || got[len(got)-1] != "ok listener.relay" {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestHostileListener shows that what answers cannot hold the doctor up, nor write what it likes on the page.
func TestHostileListener(t *testing.T) {
	const noWay = " -> systemctl status gatepost; is a firewall in front of it?"
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name string
		step string
		do   lab.Action
		want string // the beginning of the last line
	}{
		{"silent", "CONNECT", lab.Silence(), "FAIL listener.reach ADDR: no client gets in: banner: context deadline exceeded" + noWay},
		{"endless banner", "CONNECT", lab.Endless("220-hello\r\n"), "FAIL listener.reach ADDR: no client gets in: banner: reply: too long: 100 lines, "},
		{"endless line", "CONNECT", lab.Endless("220-"), "FAIL listener.reach ADDR: no client gets in: banner: reply: too long: line" + noWay},
		{"no SMTP", "CONNECT", lab.Raw("SSH-2.0-OpenSSH\r\n"), "FAIL listener.reach ADDR: no client gets in: banner: reply: bad syntax: \"SSH-2.0-OpenSSH\"" + noWay},
		{"control characters", "CONNECT", lab.Raw("220 \x1b[2J\x9b evil\r\n"), "ok listener.relay"},
		{"silent after EHLO", "EHLO", lab.Silence(), "FAIL listener.offers ADDR: EHLO: "},
		{"long offers", "EHLO", lab.Raw("250-" + here + "\r\n250 X" + long[:900] + "\r\n"), "ok listener.relay"},
		{"silent in STARTTLS", "STARTTLS", lab.Silence(), "? listener.relay ADDR: "},
		{"silent at RCPT", "RCPT", lab.Silence(), "? listener.relay ADDR: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			good, roots := pair(t, here)
			s := server(t, lab.NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{good}}})
			s.On(c.step, c.do)
			w := worldOf(s, roots)
			lines := Examine(t.Context(), []Group{{"listener", w.lookListener}}, 2*time.Second)[0].Lines
			for _, l := range lines {
				if l.ID == "listener.unfinished" || len(l.Saw) > 410 || strings.ContainsFunc(l.Saw, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%+v", l)
				}
			}
			last := lines[len(lines)-1]
			got := strings.Join(append([]string{last.Verdict.String() + " " + last.ID + " " + ports.ReplaceAllString(last.About+": "+last.Saw, "ADDR")}, last.Fix...), " -> ")
			if last.Verdict == OK {
				got = "ok " + last.ID
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
