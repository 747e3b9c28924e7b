package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// record makes one TLS record.
func record(kind byte, body string) string {
	return string([]byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}) + body
}

// keeper keeps what a TLS client sends first, and lets nothing through.
type keeper struct {
	net.Conn
	sent bytes.Buffer
}

var errKept = errors.New("kept")

func (k *keeper) Write(p []byte) (int, error) { return k.sent.Write(p) }
func (k *keeper) Read([]byte) (int, error)    { return 0, errKept }
func (k *keeper) Close() error                { return nil }

// clientHello returns the ClientHello of a client.
func clientHello(t *testing.T, config *tls.Config) string {
	k := &keeper{}
	config.InsecureSkipVerify = true
	if err := tls.Client(k, config).HandshakeContext(context.Background()); !errors.Is(err, errKept) {
		t.Fatal(err)
	}
	return k.sent.String()
}

// TestHandshakeFaults: a handshake that is cut short, trickles, never ends or is no handshake has one deadline for all of
// it, nothing of it is run as a command, and no goroutine stays.
func TestHandshakeFaults(t *testing.T) {
	hello := clientHello(t, &tls.Config{})
	for name, f := range map[string]struct {
		send  string
		every time.Duration // between its octets; 0: all at once
		most  time.Duration
	}{
		"nothing":          {"", 0, 30 * time.Second},
		"half a hello":     {hello[:len(hello)/2], 0, 30 * time.Second},
		"hello and no end": {hello, 0, 30 * time.Second},
		"trickle":          {hello, 2 * time.Second, 30 * time.Second},
		"record too long":  {"\x16\x03\x01\xff\xff" + strings.Repeat("x", 70000), 0, time.Second},
		"message too long": {record(22, "\x01\xff\xff\xff"+strings.Repeat("x", 16000)), 0, time.Second},
		"endless message":  {record(22, "\x01\x00\xff\xff") + strings.Repeat(record(22, "x"), 10000), 0, 30 * time.Second},
		"empty records":    {strings.Repeat(record(22, ""), 1000), 0, time.Second},
		"alerts":           {strings.Repeat(record(21, "\x01\x5a"), 1000), 0, time.Second},
		"key changes":      {hello + strings.Repeat(record(20, "\x01"), 1000), 0, time.Second},
		"commands":         {strings.Repeat("NOOP\r\n", 1000), 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.offerTLS()
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("STARTTLS")
				began := time.Now()
				if f.every == 0 {
					c.send(f.send)
				}
				for i := 0; !c.gone() && time.Since(began) < time.Hour; i++ {
					if f.every > 0 && i < len(f.send) {
						c.send(f.send[i : i+1])
					}
					time.Sleep(max(f.every, 100*time.Millisecond))
				}
				if took := time.Since(began); took > f.most+3*time.Second { // Close may wait for the client to hear of it
					t.Errorf("ended after %v", took)
				}
				if got := c.heard(); strings.Contains(got, "250 ") {
					t.Errorf("%q", got)
				}
				if got := w.journal.all(); len(got) != 1 || !strings.HasPrefix(got[0], "connection end=tls transactions=0") {
					t.Errorf("journal: %q", got)
				}
			})
		})
	}
}

// TestBigHello: a ClientHello of nearly 64 KiB is taken; one above that is not.
func TestBigHello(t *testing.T) {
	for names, good := range map[int]bool{240: true, 255: false} {
		bubble(t, func(t *testing.T, w *world) {
			w.offerTLS()
			s := w.dialByHand(t)
			s.ask("")
			s.ask("EHLO client.example")
			s.ask("STARTTLS")
			config := &tls.Config{InsecureSkipVerify: true}
			for i := range names {
				config.NextProtos = append(config.NextProtos, strings.Repeat("x", 250)+itoa(1000+i))
			}
			c := tls.Client(s.conn, config)
			if err := c.Handshake(); (err == nil) != good {
				t.Errorf("%d names: %v", names, err)
			}
			if good {
				s.conn = c
				if got := s.ask("EHLO client.example"); !strings.HasPrefix(got, "250-") {
					t.Errorf("%q", got)
				}
			}
			_ = s.conn.Close()
			synctest.Wait()
		})
	}
}

// TestCertificateNobodyAskedFor: we ask for no certificate; a client that sends one all the same, of whatever size, or
// compressed, is out of step with TLS, and its session ends at once.
func TestCertificateNobodyAskedFor(t *testing.T) {
	hello := clientHello(t, &tls.Config{MaxVersion: tls.VersionTLS12})
	certificate := func(kind byte, size int) (out string) {
		body := string([]byte{kind, byte(size >> 16), byte(size >> 8), byte(size)}) + strings.Repeat("\x00", size)
		for len(body) > 0 {
			n := min(len(body), 16000)
			out += record(22, body[:n])
			body = body[n:]
		}
		return out
	}
	for name, text := range map[string]string{"small": certificate(11, 100), "64 KiB": certificate(11, 65000),
		"1 MiB": certificate(11, 1<<20), "16 MiB": certificate(11, 1<<24-1), "compressed": certificate(25, 60000)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.offerTLS()
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("STARTTLS")
				c.send(hello)
				if got := c.heard(); len(got) < 100 || got[0] != 22 {
					t.Fatalf("no flight of the server: %q", got)
				}
				c.send(text)
				time.Sleep(10 * time.Second) // closing may wait 5 s for a client that does not listen
				if got := w.journal.all(); !c.gone() || len(got) != 1 || !strings.HasPrefix(got[0], "connection end=tls") {
					t.Errorf("closed %t, journal %q", c.gone(), got)
				}
			})
		})
	}
}

// TestSlowOverTLS: the least rate, the time of a command line and the time between reads hold behind TLS too, also where
// one record trickles and our reader sees nothing of it.
func TestSlowOverTLS(t *testing.T) {
	for _, begin := range []string{"NOOP", "DATA\r\n", "BDAT 100000\r\n"} {
		for _, torn := range []bool{false, true} {
			bubble(t, func(t *testing.T, w *world) {
				w.offerTLS()
				s := w.dialByHand(t)
				s.ask("")
				s.ask("EHLO client.example")
				s.ask("STARTTLS")
				slow := &slowly{Conn: s.conn}
				c := tls.Client(slow, &tls.Config{InsecureSkipVerify: true})
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				s.conn = c
				s.ask("EHLO client.example")
				s.ask("MAIL FROM:<a@sender.example>")
				s.ask("RCPT TO:<b@example.org>")
				if _, err := c.Write([]byte(begin)); err != nil {
					t.Fatal(err)
				}
				if begin == "DATA\r\n" {
					s.ask("")
				}
				began := time.Now()
				w.open.Go(func() {
					if slow.pause = 0; torn {
						slow.pause = time.Second // each octet of the record
					}
					for range 1000 {
						if _, err := c.Write([]byte("x")); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
				got := s.ask("") // what is said before the end
				most := 31 * time.Second
				if begin == "NOOP" {
					most = 301 * time.Second
				}
				if took := time.Since(began); took > most || !strings.HasPrefix(got, "421 4.4.2 ") {
					t.Errorf("%q, torn %t: %q after %v", begin, torn, got, took)
				}
				_ = s.conn.Close()
				w.open.Wait()
			})
		}
	}
}

// slowly writes one octet at a time once it has a pause.
type slowly struct {
	net.Conn
	pause time.Duration
}

func (s *slowly) Write(p []byte) (int, error) {
	if s.pause == 0 {
		return s.Conn.Write(p)
	}
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(s.pause)
	}
	return len(p), nil
}

// TestTLSFloods: a real client that asks for new keys again and again (TLS 1.3), or for a new handshake (TLS 1.2), is
// closed; the work it can make us do is bounded.
func TestTLSFloods(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatalf("apt-get install openssl: %v", err)
	}
	for version, line := range map[string]string{"-tls1_3": "K\n", "-tls1_2": "R\n"} {
		w := newWorld(t)
		w.offerTLS()
		w.snap.Limits.CommandTimeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, openssl, "s_client", version, "-starttls", "smtp", "-connect", w.listen())
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
	feed:
		for range 200 { // one letter at the start of what is read is a command of s_client
			_, _ = in.Write([]byte(line)) // it ends when we close
			select {
			case <-ended:
				break feed
			case <-time.After(100 * time.Millisecond):
			}
		}
		if w.srv.Sessions() != 0 {
			t.Errorf("%s: the session goes on: %s", version, out.String())
		}
		cancel()
		if got := strings.Join(w.journal.all(), "\n"); !strings.Contains(got, "connection end=") || version == "-tls1_2" && !strings.Contains(out.String(), "RENEGOTIATING") {
			t.Errorf("%s: journal %q, client %s", version, got, out.String())
		}
	}
}
