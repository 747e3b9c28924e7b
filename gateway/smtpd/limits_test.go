package smtpd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

func TestConnectionLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits func(*gateway.Limits)
		from   []string // the last one is refused
		reply  string
		reason gateway.Reason
	}{
		{"all", func(l *gateway.Limits) { l.Connections = 2 },
			[]string{"198.51.100.1:1", "198.51.100.2:1", "198.51.100.3:1"}, "421 4.7.0 Too many connections to this host", gateway.TooManyConnections},
		{"client", func(l *gateway.Limits) { l.PerClient = 2 },
			[]string{"198.51.100.1:1", "198.51.100.1:2", "198.51.100.1:3"}, "421 4.7.0 Too many connections at once from your address; at most 2", gateway.TooManyFromClient},
		{"mapped", func(l *gateway.Limits) { l.PerClient = 1 },
			[]string{"198.51.100.1:1", "[::ffff:198.51.100.1]:2"}, "421 4.7.0 ", gateway.TooManyFromClient},
		{"v6", func(l *gateway.Limits) { l.PerClient = 1 },
			[]string{"[2001:db8:1:1::1]:1", "[2001:db8:1:1:ffff::2]:1"}, "421 4.7.0 ", gateway.TooManyFromClient},
		{"network", func(l *gateway.Limits) { l.PerClient, l.PerNetwork = 1, 2 },
			[]string{"198.51.100.1:1", "198.51.100.62:1", "198.51.100.63:1"},
			"421 4.7.0 Too many connections at once from your network 198.51.100.0/26; at most 2", gateway.TooManyFromNetwork},
		{"wide network", func(l *gateway.Limits) { l.PerClient, l.PerNetwork, l.PerWideNetwork = 1, 1, 2 },
			[]string{"198.51.96.1:1", "198.51.100.1:1", "198.51.103.1:1"},
			"421 4.7.0 Too many connections at once from your network 198.51.96.0/21; at most 2", gateway.TooManyFromNetwork},
		{"v6 network", func(l *gateway.Limits) { l.PerClient, l.PerNetwork = 1, 2 },
			[]string{"[2001:db8:1:100::1]:1", "[2001:db8:1:1fe::1]:1", "[2001:db8:1:1ff::1]:1"},
			"421 4.7.0 Too many connections at once from your network 2001:db8:1:100::/56; at most 2", gateway.TooManyFromNetwork},
		{"v6 wide network", func(l *gateway.Limits) { l.PerClient, l.PerNetwork, l.PerWideNetwork = 1, 1, 2 },
			[]string{"[2001:db8:1:100::1]:1", "[2001:db8:1:200::1]:1", "[2001:db8:1:300::1]:1"},
			"421 4.7.0 Too many connections at once from your network 2001:db8:1::/48; at most 2", gateway.TooManyFromNetwork},
		{"a network has what its client has", func(l *gateway.Limits) { l.PerClient, l.PerNetwork, l.PerWideNetwork = 2, 1, 1 },
			[]string{"198.51.100.1:1", "198.51.100.1:2", "198.51.100.1:3"}, "421 4.7.0 Too many connections at once from your address", gateway.TooManyFromClient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				tt.limits(&w.snap.Limits)
				var clients []*client
				for i, from := range tt.from {
					c := w.dial(from)
					clients = append(clients, c)
					got := c.heard()
					if last := i == len(tt.from)-1; last != strings.HasPrefix(got, tt.reply) || last != c.gone() {
						t.Fatalf("connection %d: %q", i, got)
					}
				}
				if len(w.journal.early) != 1 || w.journal.early[0] != tt.reason || len(w.journal.events) != 0 {
					t.Errorf("journal: %q", w.journal.all())
				}
				clients[0].hangUp()
				synctest.Wait()
				if c := w.dial(tt.from[len(tt.from)-1]); !strings.HasPrefix(c.heard(), "220 ") {
					t.Errorf("the place of a client that left is not given again")
				}
			})
		})
	}
}

// memories is what a test remembers of clients.
type memories map[netip.Addr]gateway.Remembered

func (m memories) Recall(a netip.Addr) gateway.Remembered { return m[a] }

// TestStanding: how many connections a client has depends on what is remembered of it.
func TestStanding(t *testing.T) {
	soon := func() time.Time { return time.Now().Add(time.Minute) }
	for name, tt := range map[string]struct {
		is   func() gateway.Remembered
		most int
	}{
		"unknown":          {func() gateway.Remembered { return gateway.Remembered{} }, 4},
		"known":            {func() gateway.Remembered { return gateway.Remembered{Pregreet: soon()} }, 6},
		"known once":       {func() gateway.Remembered { return gateway.Remembered{Pregreet: time.Now().Add(-time.Second)} }, 4},
		"bad":              {func() gateway.Remembered { return gateway.Remembered{Bad: soon()} }, 2},
		"bad after passed": {func() gateway.Remembered { return gateway.Remembered{Bad: soon(), Pregreet: soon()} }, 2},
		"bad once":         {func() gateway.Remembered { return gateway.Remembered{Bad: time.Now(), Pregreet: soon()} }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.snap.Limits.PerClient, w.snap.Limits.PerClientKnown, w.snap.Limits.PerClientBad = 4, 6, 2
				w.srv.Memory = memories{netip.MustParseAddr("198.51.100.7"): tt.is()}
				n := 0
				for strings.HasPrefix(w.dial(stranger).heard(), "220 ") {
					n++
				}
				if n != tt.most {
					t.Errorf("%d connections, not %d", n, tt.most)
				}
			})
		})
	}
}

func TestTrustedSkipCaps(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.Connections, w.snap.Limits.PerClient, w.snap.Limits.Transactions = 0, 0, 0
		c := w.dial("127.0.0.1:4000")
		c.say("EHLO client.example")
		if got := c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<unknown@example.org>"); !strings.HasPrefix(got, "250 2.1.0 Sender noted\r\n550 5.1.1 ") {
			t.Errorf("%q", got) // without a wait, too
		}
		if got := c.say("RCPT TO:<b@elsewhere.example>"); !strings.HasPrefix(got, "550 5.7.1 Relaying denied") {
			t.Errorf("a trusted client relays: %q", got)
		}
	})
}

// TestDelayCap: all waits of one transaction together have an end.
func TestDelayCap(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.Errors, w.snap.Limits.SlowAfter = 100, 0
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>")
		began := time.Now()
		for range 20 {
			c.send("RCPT TO:<unknown@example.org>\r\n")
		}
		time.Sleep(30 * time.Second)
		if n := strings.Count(c.heard(), "550 5.1.1"); n != 20 {
			t.Errorf("%d replies after %v", n, time.Since(began))
		}
	})
}

// TestDataDeadlines: a message has a time between reads, a least rate, and a time in all that grows with its size.
func TestDataDeadlines(t *testing.T) {
	tests := []struct {
		name   string
		limits func(*gateway.Limits)
		chunk  int
		every  time.Duration
		lasts  time.Duration // at least; the connection is closed at most one step later
	}{
		{"silence", func(l *gateway.Limits) { l.DataRateWindow = 0; l.DataTimeout = 10 * time.Second }, 1, 11 * time.Second, 10 * time.Second},
		{"rate", func(l *gateway.Limits) { l.DataRate = 100; l.DataRateWindow = 10 * time.Second }, 50, time.Second, 9 * time.Second},
		{"total", func(l *gateway.Limits) { l.DataTime = time.Minute; l.DataRate = 1 }, 50, time.Second, time.Minute},
		{"size", func(l *gateway.Limits) { l.DataTime = time.Second; l.DataRate = 1; l.DataTimeout = time.Minute }, 16384, time.Second, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				tt.limits(&w.snap.Limits)
				w.snap.Limits.MessageSize = 100 << 20
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
				began := time.Now()
				for !c.gone() && time.Since(began) < 2*time.Minute {
					c.send(strings.Repeat("x", tt.chunk-1) + "\n"[:1])
					time.Sleep(tt.every)
				}
				took := time.Since(began)
				if tt.name == "size" {
					if c.gone() {
						t.Errorf("a big message that comes at 16 KiB a second was cut off after %v", took)
					}
					return
				}
				if took < tt.lasts || took > tt.lasts+2*tt.every+time.Second || !strings.HasPrefix(c.heard(), "421 4.4.2 ") {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

// TestSessionTimeLeavesDataOut: a message on its way in does not count for the time of the session.
func TestSessionTimeLeavesDataOut(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.SessionTime, w.snap.Limits.DataRateWindow = time.Minute, 0
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		time.Sleep(2 * time.Minute)
		if got := c.say("Subject: x", "", "."); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%q", got)
		}
		if got := c.say("NOOP"); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%q", got)
		}
		time.Sleep(61 * time.Second)
		if got := c.heard(); !strings.HasPrefix(got, "421 4.4.2 ") || !c.gone() {
			t.Errorf("%q", got)
		}
	})
}

// TestClientThatDoesNotRead: a write has an end, too.
func TestClientThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		w.srv.knock(context.Background(), addressed{theirs, stranger}, "test", nil)
		began := time.Now()
		for w.srv.Sessions() > 0 && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < w.snap.Limits.WriteTimeout || took > w.snap.Limits.WriteTimeout+2*time.Second {
			t.Errorf("the session ended after %v", took)
		}
		if got := w.journal.all(); len(got) != 1 || !strings.HasPrefix(got[0], "connection end=timeout") {
			t.Errorf("journal: %q", got)
		}
	})
}

// TestRecipientFlood: no client fills the memory with recipients, refused or not.
func TestRecipientFlood(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.Recipients, w.snap.Limits.Errors = 3, 1<<30
		w.snap.Limits.SlowAfter = 1 << 30
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>")
		for i := range 1000 {
			c.send("RCPT TO:<" + itoa(i) + "@example.org>\r\n")
		}
		got := c.heard()
		if ok, no := strings.Count(got, "250 2.1.5"), strings.Count(got, "452 4.5.3"); ok != 3 || no != 997 {
			t.Errorf("%d accepted, %d refused", ok, no)
		}
		c.say("QUIT")
		if n := len(w.journal.events[0].Replies); n > 3+keptRefused+1 {
			t.Errorf("%d recipients are kept", n)
		}
	})
}

// TestRefusedChunksFlood: what is thrown away has an end.
func TestRefusedChunksFlood(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		if got := c.say("BDAT 999999999999999999 LAST"); !strings.HasPrefix(got, "421 4.7.0 Too much sent") || !c.gone() {
			t.Errorf("%q", got)
		}
		c = w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		if got := c.say("BDAT 999999999999 LAST"); !strings.HasPrefix(got, "552 5.3.4 Chunk too big") || !c.gone() {
			t.Errorf("%q", got)
		}
	})
}

// full is a body for which there is no room, at one of its steps.
type full struct {
	memory
	write, done, read bool
}

var errFull = errors.New("body: no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.write {
		return 0, errFull
	}
	return f.memory.Write(p)
}

func (f *full) Done() (gateway.Body, error) {
	if f.done {
		return nil, errFull
	}
	_, err := f.memory.Done()
	return f, err
}

func (f *full) ReadAt(p []byte, at int64) (int, error) {
	if f.read {
		return 0, io.ErrUnexpectedEOF
	}
	return f.memory.ReadAt(p, at)
}

func TestNoStorage(t *testing.T) {
	for _, f := range []full{{write: true}, {done: true}, {read: true}} {
		bubble(t, func(t *testing.T, w *world) {
			broken := f
			broken.w = w
			w.newBody = func() gateway.BodyWriter { return &broken }
			for _, chunked := range []bool{false, true} {
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
				var got string
				if chunked {
					got = c.say("BDAT 17 LAST", "Subject: x\r\n\r\na")
				} else {
					c.say("DATA")
					got = c.say("Subject: x", "", "a", ".")
				}
				if !strings.HasPrefix(got, "452 4.3.1 No room") || strings.Contains(got, "device") {
					t.Errorf("%+v: %q", f, got)
				}
				if got := c.say("NOOP"); !strings.HasPrefix(got, "250 ") {
					t.Errorf("%+v: %q", f, got)
				}
				c.say("QUIT")
			}
			if len(w.deliver.messages()) != 0 {
				t.Errorf("%+v: a message was delivered", f)
			}
			for _, e := range w.journal.all() {
				if strings.HasPrefix(e, "transaction") && !strings.HasPrefix(e, "transaction stage=data outcome=defer reason=smtp.no_storage reply=452") {
					t.Errorf("%+v: %s", f, e)
				}
			}
		})
	}
}

// TestKnownClients: a client that is trusted, or known from before, may name more recipients, and is told so.
func TestKnownClients(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.Recipients, w.snap.Limits.RecipientsKnown = 1, 2
		w.srv.Memory = memories{netip.MustParseAddr("198.51.100.8"): {Pregreet: time.Now().Add(time.Hour)}}
		for from, want := range map[string]int{stranger: 1, "127.0.0.1:4000": 2, "198.51.100.8:1": 2} {
			c := w.dial(from)
			if got := c.say("EHLO client.example"); !strings.Contains(got, "250 LIMITS MAILMAX=50 RCPTMAX="+itoa(want)+"\r\n") {
				t.Errorf("%s: %q", from, got)
			}
			c.say("MAIL FROM:<>")
			got := c.say("RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>")
			if n := strings.Count(got, "250 2.1.5 "); n != want || strings.Count(got, "452 4.5.3 ") != 3-want {
				t.Errorf("%s: %q", from, got)
			}
		}
		w.snap.Offers = gateway.Offers{}
		c := w.dial(stranger)
		c.heard()
		if got := c.say("EHLO client.example"); got != "250-mx.example.org\r\n250 ENHANCEDSTATUSCODES\r\n" {
			t.Errorf("with nothing to offer: %q", got)
		}
	})
}

func TestPlaces(t *testing.T) {
	for in, want := range map[string]string{
		"198.51.100.77":        "198.51.100.77/32 198.51.100.64/26 198.51.96.0/21",
		"::ffff:198.51.100.77": "198.51.100.77/32 198.51.100.64/26 198.51.96.0/21",
		"2001:db8:1:12f:4::6":  "2001:db8:1:12f::/64 2001:db8:1:100::/56 2001:db8:1::/48",
		"fe80::1%eth0":         "fe80::/64 fe80::/56 fe80::/48",
	} {
		at := placesOf(netip.MustParseAddr(in))
		if got := at[0].String() + " " + at[1].String() + " " + at[2].String(); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if at := placesOf(netip.Addr{}); at != (places{}) {
		t.Errorf("no address: %v", at)
	}
}

// slowDisk is a body that takes its time.
type slowDisk struct{ memory }

func (s *slowDisk) Write(p []byte) (int, error) {
	time.Sleep(31 * time.Second)
	return s.memory.Write(p)
}

// TestRateOverSlowDisk: the least rate holds also where no read waits; the sender comes back.
func TestRateOverSlowDisk(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.newBody = func() gateway.BodyWriter { return &slowDisk{memory{w: w}} }
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		c.send("Subject: x\r\n")
		time.Sleep(31 * time.Second)
		if got := c.heard(); !strings.HasPrefix(got, "421 4.4.2 ") || !c.gone() {
			t.Errorf("%q", got)
		}
	})
}

// TestChunksShareTheirTime: the time of a whole message holds for all its chunks together.
func TestChunksShareTheirTime(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.DataTime, w.snap.Limits.DataRate, w.snap.Limits.DataSizeRate = time.Minute, 0, 0
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		for range 2 {
			c.send("BDAT 12\r\n")
			time.Sleep(25 * time.Second)
			if got := c.say("Subject: x"); !strings.HasPrefix(got, "250 ") {
				t.Fatalf("%q", got)
			}
			time.Sleep(time.Minute) // between chunks it does not run
		}
		c.send("BDAT 12 LAST\r\n")
		time.Sleep(11 * time.Second)
		if got := c.heard(); !strings.HasPrefix(got, "421 4.4.2 ") || !c.gone() {
			t.Errorf("%q", got)
		}
	})
}

// TestHeaderLimits: a header section has an end, and no more fields than are looked at. What nobody looks at could hold an
// Authentication-Results that claims to be ours.
func TestHeaderLimits(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
	}{
		"octets":            {strings.Repeat("a: "+strings.Repeat("x", 90)+"\r\n", 700), "552 5.3.4 Header section too big: at most 65536 octets"},
		"fields":            {strings.Repeat("a:\r\n", gateway.MaxFields+1), "552 5.3.4 Too many fields in the header section: at most 10000 are"},
		"as many as may be": {strings.Repeat("a:\r\n", gateway.MaxFields), "250 "},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.snap.Limits.HeaderSize = 64 << 10
				client := w.dial(stranger)
				client.say("EHLO client.example")
				client.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
				client.send(c.text)
				if got := client.say("", "."); !strings.HasPrefix(got, c.want) {
					t.Errorf("%q, want %s", got, c.want)
				}
			})
		})
	}
}
