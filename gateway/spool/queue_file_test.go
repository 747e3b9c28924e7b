package spool

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// fileOf writes a message as it lies in the queue.
func fileOf(t testing.TB, d *gateway.Delivery, c gateway.Custody) []byte {
	env, err := newEnvelope(d, c)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeMessage(t.Context(), &b, env, &d.Content, bufio.NewWriterSize(nil, copyBuffer)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readFile reads one as the queue would, and returns its envelope and its text.
func readFile(t testing.TB, id gateway.ID, text []byte) (*envelope, string, error) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := openMessage(name, id)
	if err != nil {
		return nil, "", err
	}
	defer m.file.Close()
	seen, err := m.verify(t.Context(), make([]byte, copyBuffer))
	if err != nil {
		return nil, "", err
	}
	out, err := readAll(m.content(&seen))
	return m.envelope, out, err
}

// TestEnvelopeComesBack: everything of a delivery that a next hop is told is as it was after a restart.
func TestEnvelopeComesBack(t *testing.T) {
	long := strings.Repeat("x", 60)
	d := &gateway.Delivery{ID: 77 << 20, Route: "inside", From: gateway.Address{Text: `"a b@c"@sender.example`, Local: "a b@c", Domain: "sender.example"},
		Options: gateway.MailOptions{Size: 5, EightBit: true, UTF8: true, Return: "HDRS", EnvID: "QQ+2B3", RequireTLS: true},
		Client:  gateway.Client{Name: "mx.sender.example", Helo: "mx", ESMTP: true},
		Content: gateway.Content{Parts: []io.Reader{strings.NewReader("abc")}, Size: 3, EightBit: true, UTF8: true}}
	for range 1200 {
		d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: addr(long + "@" + long + ".example"), Verified: true,
			Options: gateway.RcptOptions{Notify: []string{"SUCCESS", "FAILURE"}, Original: "rfc822;" + long}})
	}
	d.Rcpts[0].Address = gateway.Address{Text: "björn@münchen.example", Local: "björn", Domain: "xn--mnchen-3ya.example", UTF8: true}
	d.Rcpts[1].Address = gateway.Address{Text: "postmaster", Local: "postmaster"}
	d.Rcpts[2].Named = addr("info@our.example")
	d.Rcpts[2].To = []gateway.Address{addr("x@our.example"), addr("y@our.example")}
	c := gateway.Custody{Arrived: time.Date(2026, 11, 26, 1, 2, 3, 4000, time.UTC), Notify: true, Subject: "Grüße", Why: "away", Message: "0a0b"}
	e, text, err := readFile(t, d.ID, fileOf(t, d, c))
	if err != nil || text != "abc" {
		t.Fatal(text, err)
	}
	got := gateway.Delivery{ID: e.ID, Route: e.Route, From: gateway.Address(e.From), Options: gateway.MailOptions(e.Mail), Client: e.Client,
		Content: gateway.Content{Parts: d.Content.Parts, Size: e.Size, EightBit: e.EightBit, UTF8: e.UTF8}}
	for i := range e.Rcpts {
		got.Rcpts = append(got.Rcpts, e.Rcpts[i].recipient(""))
	}
	if !reflect.DeepEqual(&got, d) || e.Custody != c {
		t.Errorf("%+v, want %+v", got.Rcpts[:3], d.Rcpts[:3])
	}
	// A field that a Delivery gets one day is either kept, or left out on purpose: the numbers say that somebody thought of it.
	for _, v := range []struct {
		of   any
		want int
	}{{gateway.Delivery{}, 8}, {gateway.Content{}, 6}, {gateway.Recipient{}, 7}, {gateway.Address{}, 4}, {gateway.MailOptions{}, 6}, {gateway.RcptOptions{}, 2}, {gateway.Custody{}, 5}} {
		if n := reflect.TypeOf(v.of).NumField(); n != v.want {
			t.Errorf("%T has %d fields, and %d are known here", v.of, n, v.want)
		}
	}
}

// TestLines holds what is seen of a message in pieces of any size against what is said of it.
func TestLines(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	clean := 0
	for range 20_000 {
		var text []byte
		for range rng.IntN(12) {
			text = append(text, []string{"\r\n", "\r\n", "a", ".", "..", "text", "\r\n.", "\r", "\n", "\x00"}[min(rng.IntN(10+rng.IntN(20)), 9)%(7+rng.IntN(4))]...)
		}
		if rng.IntN(3) > 0 {
			text = append(text, "\r\n"...)
		}
		var l lines
		l.begin()
		for rest := text; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			l.scan(rest[:n])
			rest = rest[n:]
		}
		l.end()
		whole := strings.ReplaceAll(string(text), "\r\n", "\x01")
		want := strings.HasSuffix(whole, "\x01") && !strings.ContainsAny(whole, "\r\n\x00")
		var dots []int64
		for i := range text {
			if text[i] == '.' && (i == 0 || i > 1 && text[i-1] == '\n' && text[i-2] == '\r') && want {
				dots = append(dots, int64(i))
			}
		}
		if l.clean != want || !slices.Equal(l.dots, dots) {
			t.Fatalf("%q: clean %v, dots %v; want %v, %v", text, l.clean, l.dots, want, dots)
		}
		if want {
			clean++
		}
	}
	if clean < 1000 || clean > 19_000 {
		t.Errorf("%d of 20000 were clean", clean)
	}
	var l lines
	l.begin()
	l.scan(bytes.Repeat([]byte(".\r\n"), mostDots+1))
	if l.end(); l.clean || l.dots != nil {
		t.Error("it remembers too many dots")
	}
}

// TestEveryBit flips each bit of a file, and cuts it everywhere: it is never taken for what was written.
func TestEveryBit(t *testing.T) {
	d := mail(5<<20, "inside", "bob@our.example")
	whole := fileOf(t, d, gateway.Custody{})
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	open := func(text []byte) error {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := openMessage(name, d.ID)
		if err != nil {
			return err
		}
		defer m.file.Close()
		_, err = m.verify(t.Context(), make([]byte, copyBuffer))
		return err
	}
	if err := open(whole); err != nil {
		t.Fatal(err)
	}
	var broken *damage
	for i := range whole {
		text := bytes.Clone(whole)
		text[i] ^= 1 << (i % 8)
		if err := open(text); !errors.As(err, &broken) {
			t.Errorf("octet %d: %v", i, err)
		}
		if err := open(whole[:i]); !errors.As(err, &broken) {
			t.Errorf("cut after %d: %v", i, err)
		}
	}
}

// FuzzMessageFile reads anything as a message of the queue: what is taken is what writing it makes again, and safe to be
// written to a next hop.
func FuzzMessageFile(f *testing.F) {
	d := mail(5<<20, "inside", "bob@our.example", "eve@our.example")
	whole := fileOf(f, d, gateway.Custody{Notify: true, Subject: "s"})
	f.Add(whole)
	f.Add(whole[:50])
	f.Add([]byte(magic + "{}\n"))
	f.Add(bytes.Replace(whole, []byte("bob"), []byte(`b\n`), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		head, err := headOf(bytes.NewReader(text), int64(len(text)), nil)
		if err != nil {
			return
		}
		e, err := parseEnvelope(head)
		if err != nil {
			return
		}
		for _, r := range e.Rcpts {
			if strings.ContainsAny(r.Address.Text+e.From.Text+r.Original+e.Mail.EnvID, "\r\n\x00") {
				t.Errorf("%+v", e)
			}
		}
		again, out, err := readFile(t, e.ID, text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		c := gateway.Content{Parts: []io.Reader{strings.NewReader(out)}, Size: int64(len(out))}
		if err := writeMessage(t.Context(), &b, again, &c, bufio.NewWriterSize(nil, copyBuffer)); err != nil {
			t.Fatal(err)
		}
		third, out2, err := readFile(t, e.ID, b.Bytes())
		if err != nil || out2 != out || !reflect.DeepEqual(third, again) {
			t.Errorf("written again it is another: %v", err)
		}
	})
}

// FuzzState reads anything as a state: it never panics, and what is taken comes back.
func FuzzState(f *testing.F) {
	s := &state{Attempts: 3, Next: time.Unix(5, 0).UTC(), Said: "x", Held: true, Rcpts: []mark{{End: Done, Reply: reply(250)}, {}}}
	f.Add(must(s.encode()), 2)
	f.Add(must(new(state).encode()), 1)
	f.Add([]byte("gatepost-spool-state 1 00000000 00000000\n"), 1)
	f.Add([]byte("\x00\x00"), 1)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		s, err := parseState(text, n)
		if err != nil {
			return
		}
		if len(s.Rcpts) != 0 && len(s.Rcpts) != n {
			t.Errorf("%d recipients of %d", len(s.Rcpts), n)
		}
		again, err := parseState(must(s.encode()), n)
		if err != nil || again.Attempts != s.Attempts || len(again.Rcpts) != len(s.Rcpts) || again.matters() != s.matters() {
			t.Errorf("%+v, want %+v: %v", again, s, err)
		}
	})
}
