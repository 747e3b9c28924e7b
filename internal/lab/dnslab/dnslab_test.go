package dnslab

import (
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// ask sends one query over a new socket and returns what comes back.
func ask(t *testing.T, s *Server, network, name string, qtype uint16) (*wire.Msg, error) {
	t.Helper()
	m := new(wire.Msg).SetQuestion(name, qtype)
	m.SetEdns0(1232, false)
	c := wire.Client{Net: network, Timeout: 2 * time.Second}
	reply, _, err := c.Exchange(m, s.Addr())
	return reply, err
}

func TestZones(t *testing.T) {
	s := New(t, Zones{
		"example.com": "@ IN MX 10 mx\nmx 60 IN A 192.0.2.1\n*.pool IN A 192.0.2.2\nthere.pool IN TXT x\na.b.ent IN A 192.0.2.3\n" +
			"out IN CNAME www.example.org.\nnowhere IN CNAME no.example.org.\nloop IN CNAME loop\n",
		"example.org":     "$ORIGIN example.org.\nwww A 192.0.2.4\n@ SOA ns host 7 1 1 1 11\n",
		"sub.example.com": "@ A 192.0.2.5\n",
	})
	for _, c := range []struct {
		name, qtype string
		rcode       int
		answers     int
		last        string // the end of the last answer record
	}{
		{"example.com.", "MX", 0, 1, "\t10 mx.example.com."},
		{"MX.example.COM.", "A", 0, 1, "\t192.0.2.1"},
		{"mx.example.com.", "AAAA", 0, 0, ""},
		{"any.thing.pool.example.com.", "A", 0, 1, "\t192.0.2.2"},
		{"there.pool.example.com.", "A", 0, 0, ""},
		{"below.there.pool.example.com.", "A", wire.RcodeNameError, 0, ""},
		{"b.ent.example.com.", "A", 0, 0, ""},
		{"out.example.com.", "A", 0, 2, "\t192.0.2.4"},
		{"nowhere.example.com.", "A", wire.RcodeNameError, 1, "no.example.org."},
		{"loop.example.com.", "A", wire.RcodeServerFailure, 0, ""},
		{"sub.example.com.", "A", 0, 1, "\t192.0.2.5"},
		{"not.here.", "A", wire.RcodeNameError, 0, ""},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m, err := ask(t, s, network, c.name, wire.StringToType[c.qtype])
			if err != nil {
				t.Fatalf("%s %s: %v", c.name, c.qtype, err)
			}
			if m.Rcode != c.rcode || len(m.Answer) != c.answers || !m.RecursionAvailable ||
				c.answers > 0 && !strings.HasSuffix(m.Answer[c.answers-1].String(), c.last) {
				t.Errorf("%s %s: %v", c.name, c.qtype, m)
			}
			if c.last == "" && c.rcode != wire.RcodeServerFailure && len(m.Ns) != 1 {
				t.Errorf("%s %s: no SOA: %v", c.name, c.qtype, m)
			}
		}
	}
	if q := s.Queries(); q["mx.example.com"] != 4 || q["not.here"] != 2 || s.Count("mx.example.com", "A") != 2 || s.TCPQueries() != 12 {
		t.Errorf("%v, %d over TCP", q, s.TCPQueries())
	}
}

func TestBadZones(t *testing.T) {
	for _, z := range []Zones{
		{"example.com": "@ IN MX ten mx\n"},
		{"example.com": "www.example.org. IN A 192.0.2.1\n"},
	} {
		if _, err := Start(z); err == nil || !strings.HasPrefix(err.Error(), "dnslab: zone example.com: ") {
			t.Errorf("%v: %v", z, err)
		}
	}
	s := New(t, Text("a.example A 192.0.2.1"))
	if err := s.SetZones(Text("a.example A nonsense")); err == nil {
		t.Error("zone was taken")
	}
	if m, err := ask(t, s, "udp", "a.example.", wire.TypeA); err != nil || len(m.Answer) != 1 {
		t.Errorf("the old zones are gone: %v %v", m, err)
	}
}

// TestFaults looks at the faults on the wire, as no resolver shows them.
func TestFaults(t *testing.T) {
	s := New(t, Text("x.example 300 IN A 192.0.2.1\nx.example 300 IN MX 10 mx.x.example.\n"))
	req := new(wire.Msg).SetQuestion("x.example.", wire.TypeA)
	req.SetEdns0(1232, false)
	packed, err := req.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		about string
		kind  Kind
		ok    func(raw []byte, m *wire.Msg, unpackErr error) bool
	}{
		{"honest", Honest, func(_ []byte, m *wire.Msg, _ error) bool { return m.Id == req.Id && len(m.Answer) == 1 }},
		{"wrong ID", WrongID, func(_ []byte, m *wire.Msg, _ error) bool { return m.Id != req.Id && len(m.Answer) == 1 }},
		{"wrong question", WrongQuestion, func(_ []byte, m *wire.Msg, _ error) bool {
			return m.Id == req.Id && m.Question[0].Name != "x.example."
		}},
		{"no QR", NoQR, func(_ []byte, m *wire.Msg, _ error) bool { return !m.Response && len(m.Answer) == 1 }},
		{"truncate", Truncate, func(_ []byte, m *wire.Msg, _ error) bool { return m.Truncated && len(m.Answer) == 0 }},
		{"huge", HugeTXT, func(_ []byte, m *wire.Msg, _ error) bool { return m.Truncated && len(m.Answer) == 0 }},
		{"garbage", Garbage, func(raw []byte, _ *wire.Msg, err error) bool { return err != nil && raw[0] == 0xff }},
		{"garbage at the end", GarbageTail, func(_ []byte, m *wire.Msg, err error) bool { return err != nil && m.Id == req.Id }},
		{"short count", ShortCount, func(raw []byte, m *wire.Msg, _ error) bool { return raw[7] == 5 && len(m.Answer) == 0 }},
		{"case", MangleCase, func(_ []byte, m *wire.Msg, _ error) bool { return m.Answer[0].Header().Name == "X.ExAmPlE." }},
		{"AD", AD, func(_ []byte, m *wire.Msg, _ error) bool { return m.AuthenticatedData }},
		{"bogus", Bogus, func(_ []byte, m *wire.Msg, _ error) bool {
			return m.Rcode == wire.RcodeServerFailure && len(m.IsEdns0().Option) == 1
		}},
		{"bogus, not said", BogusNoEDE, func(_ []byte, m *wire.Msg, _ error) bool {
			return m.Rcode == wire.RcodeServerFailure && len(m.IsEdns0().Option) == 0
		}},
		{"no EDNS", NoEDNS, func(raw []byte, m *wire.Msg, _ error) bool {
			return len(raw) == 12 && m.Rcode == wire.RcodeFormatError
		}},
		{"loop", CNAMELoop, func(_ []byte, m *wire.Msg, _ error) bool {
			return len(m.Answer) == 2 && m.Answer[1].Header().Rrtype == wire.TypeCNAME
		}},
	} {
		s.SetFault("X.example.", Fault{Kind: c.kind, Type: "A"})
		conn, err := net.Dial("udp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write(packed); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 65536)
		n, err := conn.Read(buf)
		_ = conn.Close()
		if err != nil {
			t.Fatalf("%s: %v", c.about, err)
		}
		var m wire.Msg
		unpackErr := m.Unpack(buf[:n])
		if !c.ok(buf[:n], &m, unpackErr) {
			t.Errorf("%s: %v %v", c.about, &m, unpackErr)
		}
	}
	if m, err := ask(t, s, "udp", "x.example.", wire.TypeMX); err != nil || len(m.Answer) != 1 {
		t.Errorf("another type: %v %v", m, err)
	}
}

func TestFaultTimesDelayAndStar(t *testing.T) {
	s := New(t, Text("x.example A 192.0.2.1\ny.example A 192.0.2.2"))
	s.SetFault("*", Fault{Kind: Timeout, Times: 1}, Fault{Kind: ServFail})
	s.SetFault("y.example", Fault{Delay: 20 * time.Millisecond})
	if _, err := ask(t, s, "udp", "x.example.", wire.TypeA); err == nil {
		t.Error("an answer, where none was to come")
	}
	if m, err := ask(t, s, "udp", "x.example.", wire.TypeA); err != nil || m.Rcode != wire.RcodeServerFailure {
		t.Errorf("the second fault: %v %v", m, err)
	}
	start := time.Now()
	if m, err := ask(t, s, "udp", "y.example.", wire.TypeA); err != nil || len(m.Answer) != 1 || time.Since(start) < 20*time.Millisecond {
		t.Errorf("delayed: %v %v", m, err)
	}
	s.SetFault("*")
	if m, err := ask(t, s, "udp", "x.example.", wire.TypeA); err != nil || len(m.Answer) != 1 {
		t.Errorf("faults taken back: %v %v", m, err)
	}
}

func TestCloseEndsIt(t *testing.T) {
	s, err := Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if m, err := ask(t, s, "tcp", "x.example.", wire.TypeA); err == nil {
		t.Errorf("still answers: %v", m)
	}
	again, err := StartAt(s.Addr(), nil)
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	again.Close()
}
