package doctor

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// timeServer answers each question with what change makes of a good answer; nil: nothing.
func timeServer(t *testing.T, ahead time.Duration, change func(reply []byte) []byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		question := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(question)
			if err != nil {
				return
			}
			if n != 48 || question[0]&7 != 3 {
				continue
			}
			reply := make([]byte, 48)
			reply[0], reply[1] = 4<<3|4, 2
			copy(reply[24:], question[40:48])
			now := ntpTime(time.Now().Add(ahead))
			binary.BigEndian.PutUint64(reply[32:], now)
			binary.BigEndian.PutUint64(reply[40:], now)
			if change != nil {
				reply = change(reply)
			}
			if reply != nil {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

// TestClock shows what is told of a clock that somebody keeps, that nobody keeps, and of which nothing is known.
func TestClock(t *testing.T) {
	const fix = " -> systemctl enable --now systemd-timesyncd (or chrony)"
	right, late, wrong := timeServer(t, 0, nil), timeServer(t, 10*time.Second, nil), timeServer(t, -time.Hour, nil)
	bad := timeServer(t, 0, func(r []byte) []byte { r[1] = 0; return r }) // it is told to go away (RFC 4330 section 8)
	free, unkept, unknown := Kernel{true, time.Millisecond}, Kernel{}, errors.New("adjtimex: not allowed")
	for _, c := range []struct {
		name   string
		kernel Kernel
		err    error
		server string
		want   string // up to what differs from run to run
	}{
		{"kept", free, nil, wrong, "ok clock.synchronised"},
		{"not kept, right", unkept, nil, right, "warn clock.synchronised : nobody keeps the clock; it is right now, within "},
		{"not kept, late", unkept, nil, late, "warn clock.synchronised : nobody keeps the clock, and it is off by "},
		{"not kept, wrong", unkept, nil, wrong, "FAIL clock.synchronised : nobody keeps the clock, and it is off by -1h0m0s (ADDR): signatures and certificates are judged wrongly" + fix},
		{"not kept, nobody to ask", unkept, nil, bad, "warn clock.synchronised : nobody keeps the clock; how far it is off cannot be told: no time server answers" + fix},
		{"not known, right", Kernel{}, unknown, right, "ok clock.synchronised"},
		{"not known, wrong", Kernel{}, unknown, wrong, "FAIL clock.synchronised : whether somebody keeps the clock cannot be told (adjtimex: not allowed), and it is off by -1h0m0s (ADDR): signatures and certificates are judged wrongly" + fix},
		{"not known, nobody to ask", Kernel{}, unknown, bad, "? clock.synchronised : whether somebody keeps the clock cannot be told (adjtimex: not allowed), nor how far it is off: no time server answers" + fix},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &World{Dial: (&net.Dialer{}).DialContext, Now: time.Now, Probes: Probes{Time: []string{c.server}}, Kernel: func() (Kernel, error) { return c.kernel, c.err }}
			got := page(t, Group{"clock", w.clock})
			if len(got) != 1 {
				t.Fatalf("got %q", got)
			}
			if !strings.HasPrefix(got[0], c.want) {
				t.Errorf("got\n%s\nwant\n%s", got[0], c.want)
			}
		})
	}
}

// TestForgedTime shows that an answer to another question is not taken, and that one that follows is.
func TestForgedTime(t *testing.T) {
	for name, change := range map[string]func(r []byte) []byte{
		"forged": func(r []byte) []byte { r[24] ^= 1; return r },
		"short":  func(r []byte) []byte { return r[:20] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &World{Dial: (&net.Dialer{}).DialContext, Now: time.Now}
			if off, err := w.sntp(t.Context(), timeServer(t, -time.Hour, change)); err == nil {
				t.Errorf("off by %s", off)
			}
		})
	}
}

// TestNTPTime shows that times go there and back, in this era and the next.
func TestNTPTime(t *testing.T) {
	for _, text := range []string{"2026-11-26T20:00:00.5Z", "2036-02-07T06:28:15Z", "2036-02-07T06:28:17Z", "2040-01-01T00:00:00.25Z"} {
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := unixTime(ntpTime(want)); got.Sub(want).Abs() > time.Microsecond {
			t.Errorf("%s comes back as %s", text, got.UTC())
		}
	}
}

// TestKernelClock shows that the kernel of this machine can be asked.
func TestKernelClock(t *testing.T) {
	if k, err := KernelClock(); err != nil || k.Error < 0 {
		t.Errorf("%+v: %v", k, err)
	}
}
