package smtpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
)

// world is a server with everything around it made up. Its tests run in a synctest bubble: time is not real.
type world struct {
	t        testing.TB
	srv      *Server
	snap     *gateway.Snapshot
	journal  *journal
	deliver  *deliverer
	hops     hops
	newBody  func() gateway.BodyWriter
	proxies  []netip.Prefix // of the listener
	open     sync.WaitGroup
	bodies   int // open
	bodiesMu sync.Mutex
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, journal: &journal{}, hops: hops{}}
	w.deliver = &deliverer{reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Accepted"}}
	w.hops["main"] = gateway.Carries{Known: true, EightBit: true, UTF8: true, DSN: true}
	w.hops["other"] = gateway.Carries{Known: true, EightBit: true, UTF8: true, DSN: true}
	w.snap = &gateway.Snapshot{Policy: testPolicy(), Pipeline: testPipeline(), Limits: testLimits(), NextHop: w.hops,
		Hostname: "mx.example.org", Banner: "Gatepost",
		Offers: gateway.Offers{Pipelining: true, Size: true, EightBitMIME: true, SMTPUTF8: true, Chunking: true, DSN: true, StartTLS: true, Limits: true, RequireTLS: true}}
	w.newBody = func() gateway.BodyWriter { return &memory{w: w} }
	w.srv = &Server{Current: func() *gateway.Snapshot { return w.snap }, Deliver: w.deliver, Journal: w.journal,
		NewBody: func() gateway.BodyWriter { return w.newBody() }, IDs: &gateway.IDs{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	w.srv.begin.Do(w.srv.init)
	t.Cleanup(func() { // after a test that failed midway
		done, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.srv.Shutdown(done)
	})
	return w
}

func testPolicy() *gateway.Policy {
	return &gateway.Policy{Postmaster: &gateway.Domain{Name: "example.org", Route: "main", Subject: "off"}, Version: "test", Domains: map[string]*gateway.Domain{
		"example.org":   {Name: "example.org", Route: "main", Subject: "full"},
		"cut.example":   {Name: "cut.example", Route: "main", Subject: "cut"},
		"off.example":   {Name: "off.example", Route: "main", Subject: "off"},
		"other.example": {Name: "other.example", Route: "other", Subject: "full"},
	}, Checks: map[string]gateway.CheckPolicy{
		"rcpt":       {Class: gateway.ClassRelay, Action: gateway.ActionReject, Unknown: gateway.ActionDefer},
		"connect":    {Class: gateway.ClassList, Action: gateway.ActionReject},
		"content":    {Class: gateway.ClassMalware, Action: gateway.ActionReject, Unknown: gateway.ActionDefer},
		"pregreet":   {Action: gateway.ActionReject, Prices: map[string]float64{"early": 3}},
		"pipelining": {Action: gateway.ActionScore, Prices: map[string]float64{"greeting": 3, "message": 3, "unoffered": 3, "sync": 1}},
		"newline":    {Action: gateway.ActionDrop},
		"verb":       {Action: gateway.ActionDrop},
	}, Thresholds: gateway.Thresholds{Tag: 5, Quarantine: 7, Reject: 9}, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Delays: gateway.Delays{UnknownRecipient: 5 * time.Second}}
}

func testLimits() gateway.Limits {
	return gateway.Limits{Connections: 100, PerClient: 20, PerClientKnown: 50, PerClientBad: 3,
		PerNetwork: 60, PerWideNetwork: 200, CommandLine: 2048, HeaderSize: 4096, Hops: 5, Recipients: 100, RecipientsKnown: 1000,
		Transactions: 50, MessageSize: 1 << 20, Errors: 15, SlowAfter: 5, ErrorDelay: time.Second, UnknownCommands: 10, JunkCommands: 100,
		TransactionDelay: 30 * time.Second, CommandTimeout: 300 * time.Second, SessionTime: 30 * time.Minute,
		DataTimeout: 180 * time.Second, DataTime: 30 * time.Minute, DataSizeRate: 8 << 10, DataRate: 500, DataRateWindow: 30 * time.Second,
		HandshakeTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second, VerdictTime: 90 * time.Second, ReplyTime: 400 * time.Second}
}

// testPipeline has a check of recipients as the real one decides, and one that looks for words in the content.
func testPipeline() *gateway.Pipeline {
	pl := &gateway.Pipeline{}
	pl.Rows[gateway.Rcpt] = []gateway.Row{{Checks: []gateway.Check{{Name: "rcpt", Stage: gateway.Rcpt,
		Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
			switch to := in.Recipient(); {
			case to.Route == "":
				return gateway.Failed(gateway.RelayDenied, to.Address.Domain)
			case strings.HasPrefix(to.Address.Local, "unknown"):
				return gateway.Failed(gateway.RcptUnknown, to.Address.Text)
			}
			return gateway.Passed()
		}}}}}
	pl.Rows[gateway.Data] = []gateway.Row{{Checks: []gateway.Check{{Name: "content", Stage: gateway.Data,
		Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
			text, err := io.ReadAll(gateway.Reader(in.Envelope.Body))
			switch {
			case err != nil:
				return gateway.CouldNotTell(gateway.ScannerFailed)
			case bytes.Contains(text, []byte("VIRUS")):
				return gateway.Failed(gateway.MalwareFound, "Test").Show("signature", "Test")
			}
			return gateway.Passed()
		}}}}}
	pl.Conduct = []gateway.Row{{Checks: []gateway.Check{{Name: "pregreet", Run: pregreet}, {Name: "pipelining", Run: pipelining}, {Name: "newline", Run: newline},
		{Name: "verb", Run: verb}}}}
	return pl
}

// pregreet, pipelining, newline and verb see what the real checks see, which filters tests.
func pregreet(_ context.Context, in *gateway.Input) gateway.Finding {
	if c := &in.Session.Conduct; c.Early != "" {
		return gateway.Failed(gateway.EarlyTalk).With(gateway.Yes("early")).Show("sent", c.Early).Show("after", c.EarlyAfter.String())
	}
	return gateway.Passed()
}

func pipelining(_ context.Context, in *gateway.Input) gateway.Finding {
	f := gateway.Passed()
	for i, a := range in.Session.Conduct.Ahead {
		if i == 0 {
			f = gateway.Failed(gateway.PipelinedAhead, a.Behind)
		}
		f = f.With(gateway.Yes(string(a.Kind))).Show("behind "+a.Behind, a.Sent)
	}
	return f
}

func newline(_ context.Context, in *gateway.Input) gateway.Finding {
	switch c := &in.Session.Conduct; {
	case c.Mixed:
		return gateway.Failed(gateway.NewlineMixed).With(gateway.Yes("mixed")).Show("line", c.BareLF)
	case c.BareLF != "":
		return gateway.Failed(gateway.NewlineBare).With(gateway.Yes("bare")).Show("line", c.BareLF)
	}
	return gateway.Passed()
}

func verb(_ context.Context, in *gateway.Input) gateway.Finding {
	if word := in.Session.Conduct.Alien; word != "" {
		return gateway.Failed(gateway.VerbForeign, word).With(gateway.Yes("foreign"))
	}
	for _, word := range in.Session.Conduct.Words {
		if word == "Host:" || word == "USER" {
			return gateway.Failed(gateway.VerbForeign, word).With(gateway.Yes("foreign")).Show("word", word)
		}
	}
	return gateway.Passed()
}

type hops map[string]gateway.Carries

func (h hops) Carries(route string) gateway.Carries { return h[route] }
func (h hops) Relay(context.Context, *gateway.Delivery) gateway.Relayed {
	return gateway.Relayed{}
}

// memory is a body in memory that counts those that are open.
type memory struct {
	w    *world
	b    []byte
	open bool
}

func (m *memory) Write(p []byte) (int, error) {
	m.hold(true)
	m.b = append(m.b, p...)
	return len(p), nil
}
func (m *memory) Done() (gateway.Body, error) { m.hold(true); return m, nil }
func (m *memory) Discard()                    { m.hold(false) }
func (m *memory) Close() error                { m.hold(false); return nil }
func (m *memory) Size() int64                 { return int64(len(m.b)) }
func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(m.b).ReadAt(p, at)
}

func (m *memory) hold(open bool) {
	m.w.bodiesMu.Lock()
	defer m.w.bodiesMu.Unlock()
	if open != m.open {
		m.open = open
		if open {
			m.w.bodies++
		} else {
			m.w.bodies--
		}
	}
}

// delivered is one message that the Deliverer got.
type delivered struct {
	from    string
	to      []string
	content string
	utf8    bool
}

type deliverer struct {
	mu    sync.Mutex
	got   []delivered
	reply gateway.Reply
	do    func(context.Context, *gateway.Envelope)
}

func (d *deliverer) Deliver(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict) accept.Result {
	if v.Outcome.Refuses() {
		return accept.Result{Reply: v.Reply}
	}
	if d.do != nil {
		d.do(ctx, e)
	}
	text, err := io.ReadAll(gateway.Reader(e.Body))
	if err != nil {
		return accept.Result{}
	}
	m := delivered{from: e.From.Text, content: string(text), utf8: e.Options.UTF8}
	for _, r := range e.AcceptedRcpts() {
		m.to = append(m.to, r.Address.Text)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, m)
	return accept.Result{Reply: d.reply, Removed: []string{"X-Spam-Flag"}}
}

func (d *deliverer) messages() []delivered {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

type journal struct {
	mu     sync.Mutex
	events []*gateway.Event
	early  []gateway.Reason
}

func (j *journal) Write(e *gateway.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) Early(_ netip.Addr, why gateway.Reason) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.early = append(j.early, why)
}

// all returns the events in short: what a dialog script expects.
func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for _, why := range j.early {
		out = append(out, "early "+string(why))
	}
	for _, e := range j.events {
		out = append(out, short(e))
	}
	return out
}

func short(e *gateway.Event) string {
	s := &e.Session
	if e.Kind == gateway.ConnectionEvent {
		return fmt.Sprintf("connection end=%s transactions=%d accepted=%d errors=%d commands=%d outcome=%s passed=%t%s%s", s.End, s.Transactions,
			s.Accepted, s.Errors, s.Commands, e.Verdict.Outcome, s.Passed, waited(s), conductOf(e))
	}
	return fmt.Sprintf("transaction stage=%s outcome=%s reason=%s reply=%d rcpts=%d octets=%d score=%v%s", e.Record.Stage, e.Verdict.Outcome,
		e.Verdict.Reason, e.Reply.Code, len(e.Replies), e.Record.Size, e.Verdict.Score, conductOf(e))
}

func waited(s *gateway.Summary) string {
	if s.Waited == 0 {
		return ""
	}
	return " waited=" + s.Waited.String()
}

// conductOf is what the tests inside the session found.
func conductOf(e *gateway.Event) (out string) {
	for i := range e.Record.Findings {
		f := &e.Record.Findings[i]
		if f.Check != "pregreet" && f.Check != "pipelining" && f.Check != "newline" && f.Check != "verb" {
			continue
		}
		for _, m := range f.Measures {
			out += " " + f.Check + "=" + m.Name
		}
		for _, shown := range e.Evidence[i] {
			out += fmt.Sprintf(" (%s: %s)", shown.Name, shown.Text)
		}
	}
	return out
}

// addressed is a connection with an address of its own.
type addressed struct {
	net.Conn
	remote string
}

func (a addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a.remote))
}
func (a addressed) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:25"))
}

// client is the other side of a session, in the same bubble.
type client struct {
	w      *world
	conn   net.Conn
	queue  chan []byte
	mu     sync.Mutex
	got    bytes.Buffer
	closed bool
}

const stranger = "198.51.100.7:40000"

func (w *world) dial(from string) *client {
	ours, theirs := net.Pipe()
	c := &client{w: w, conn: ours, queue: make(chan []byte, 4096)}
	w.t.Cleanup(c.hangUp)
	w.srv.knock(context.Background(), addressed{theirs, from}, "test", w.proxies)
	w.open.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := ours.Read(buf)
			c.mu.Lock()
			c.got.Write(buf[:n])
			c.closed = c.closed || err != nil
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	w.open.Go(func() {
		for b := range c.queue {
			if _, err := ours.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				w.t.Logf("client: %v", err)
			}
		}
	})
	return c
}

// send sends without waiting.
func (c *client) send(text string) { c.queue <- []byte(text) }

// heard waits until nothing happens any more and returns what was received since it was last asked. No time passes.
func (c *client) heard() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.got.Reset()
	return c.got.String()
}

// say sends and returns what was received; each line of text that has no end gets one.
func (c *client) say(lines ...string) string {
	c.send(strings.Join(lines, "\r\n") + "\r\n")
	return c.heard()
}

func (c *client) gone() bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// hangUp ends the client's side.
func (c *client) hangUp() {
	if c.queue != nil {
		close(c.queue)
		c.queue = nil
	}
	_ = c.conn.Close()
}

// bubble runs a test in a world in which time is not real, and afterwards asserts that nothing is left over.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		synctest.Wait()
		if w.bodies != 0 {
			t.Errorf("%d bodies were not given back", w.bodies)
		}
		if n := w.srv.gate.total; n != 0 || len(w.srv.gate.clients) != 0 {
			t.Errorf("gate: %d connections, %d clients are still counted", n, len(w.srv.gate.clients))
		}
	})
}
