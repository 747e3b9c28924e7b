package rspamd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gatepost/internal/lab/labtest"
	"gatepost/internal/rspamd"
)

const good = `{"is_skipped":false,"score":7.5,"required_score":15.0,"action":"add header","symbols":{"A":{"name":"A","score":8.0,"options":["x\u0007"]},"B":{"name":"B","score":-0.5}},"messages":{"smtp_message":"no"},"thresholds":{"add header":6.5}}`

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nServer: rspamd/9.9\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s", len(body), body)
}

// after makes a fake that reads the whole request and says text.
func after(text string) func(net.Conn) {
	return func(c net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(c, text)
		}
	}
}

func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestGoodReply(t *testing.T) {
	c := client(t, rspamd.Config{Address: labtest.Server(t, after(ok(good)))})
	got, err := c.Check(t.Context(), request("x\r\n"))
	if err != nil || got.Score != 7.5 || got.Header != 6.5 || !got.Complete || got.Version != "9.9" || got.Text != "no" || got.Skipped ||
		len(got.Symbols) != 2 || got.Symbols[0].Name != "A" || got.Symbols[0].Options[0] != "x?" || got.Symbols[1].Score != -0.5 {
		t.Errorf("%+v, %v", got, err)
	}
}

// What a hostile, broken, slow or huge rspamd says is never a result.
func TestFaults(t *testing.T) {
	many := strings.Builder{}
	for i := range 1001 {
		fmt.Fprintf(&many, `,"S%d":{"score":0}`, i)
	}
	for name, serve := range map[string]func(net.Conn){
		"closes":            func(net.Conn) {},
		"silent":            hang,
		"garbage":           after("SPAMD/1.1 0 EX_OK\r\n\r\n"),
		"half a head":       after("HTTP/1.1 200 OK\r\nContent-"),
		"half a body":       after(strings.Replace(ok(good), good, good[:40], 1)),
		"no length":         after("HTTP/1.0 200 OK\r\n\r\n" + good),
		"huge head":         after("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"),
		"huge body":         after(ok(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)),
		"endless chunks":    after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat(" ", 0x10000)+"\r\n", 17)),
		"redirect":          after("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
		"refuses":           after("HTTP/1.1 500 no\r\nContent-Length: 16\r\n\r\n{\"error\":\"busy\"}"),
		"not JSON":          after(ok("pong")),
		"two objects":       after(ok(good + good)),
		"list":              after(ok("[" + good + "]")),
		"no score":          after(ok(strings.Replace(good, `"score":7.5,`, "", 1))),
		"null score":        after(ok(strings.Replace(good, `"score":7.5`, `"score":null`, 1))),
		"score as text":     after(ok(strings.Replace(good, `"score":7.5`, `"score":"7.5"`, 1))),
		"huge score":        after(ok(strings.Replace(good, `"score":7.5`, `"score":1e9`, 1))),
		"no action":         after(ok(strings.Replace(good, `"action":"add header",`, "", 1))),
		"empty action":      after(ok(strings.Replace(good, `"add header","s`, `"","s`, 1))),
		"no symbols":        after(ok(`{"score":1,"required_score":15,"action":"no action"}`)),
		"symbol, no score":  after(ok(strings.Replace(good, `"score":8.0,`, "", 1))),
		"symbol, a comma":   after(ok(strings.Replace(good, `"A":{"name":"A"`, `"A,B":{"name":"A,B"`, 1))),
		"symbol, two names": after(ok(strings.Replace(good, `{"name":"A"`, `{"name":"C"`, 1))),
		"too many symbols":  after(ok(strings.Replace(good, `{"A"`, `{`+many.String()[1:]+`,"A"`, 1))),
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, rspamd.Config{Address: labtest.Server(t, serve), Timeout: time.Second})
			got, err := c.Check(t.Context(), request("x\r\n"))
			if err == nil || got.Action != "" || got.Score != 0 {
				t.Errorf("%+v, %v", got, err)
			}
			if err != nil && (!rspamd.Blames(err) || rspamd.Repeatable(err)) {
				t.Errorf("blames %v, repeatable %v: %v", rspamd.Blames(err), rspamd.Repeatable(err), err)
			}
		})
	}
}

// An answer that comes before the message was read is none.
func TestEarly(t *testing.T) {
	over := make(chan struct{})
	address := labtest.Server(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReaderSize(c, 16)); err == nil {
			_, _ = io.WriteString(c, ok(good))
			<-over // the rest stays unread
		}
	})
	t.Cleanup(func() { close(over) })
	c := client(t, rspamd.Config{Address: address, MaxSize: 64 << 20})
	got, err := c.Check(t.Context(), request(strings.Repeat("a line of text\r\n", 2<<20))) // more than sockets hold
	if !errors.Is(err, rspamd.ErrReply) || got.Action != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whose fault it is: the message's, the caller's, or that nobody is there.
func TestBlame(t *testing.T) {
	c := client(t, rspamd.Config{Address: labtest.Server(t, after(ok(good))), MaxSize: 100})
	for name, tc := range map[string]struct {
		r    rspamd.Request
		want error
	}{
		"too big":    {rspamd.Request{Message: strings.NewReader("x"), Size: 101}, rspamd.ErrTooBig},
		"short":      {rspamd.Request{Message: strings.NewReader("x"), Size: 50}, rspamd.ErrSource},
		"unreadable": {rspamd.Request{Message: iotest.ErrReader(errors.New("disk")), Size: 50}, rspamd.ErrSource},
		"none":       {rspamd.Request{Size: 1}, rspamd.ErrRequest},
	} {
		if _, err := c.Check(t.Context(), tc.r); !errors.Is(err, tc.want) || rspamd.Blames(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(ctx, request("x")); !errors.Is(err, context.Canceled) || rspamd.Blames(err) {
		t.Errorf("a caller that went away: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := client(t, rspamd.Config{Address: l.Addr().String()}).Check(t.Context(), request("x")); !rspamd.Repeatable(err) || !rspamd.Blames(err) {
		t.Errorf("nobody there: %v", err)
	}
}

// An rspamd that does not see GTUBE looks at nothing.
func TestBlind(t *testing.T) {
	clean := `{"score":0,"required_score":15,"action":"no action","symbols":{}}`
	c := client(t, rspamd.Config{Address: labtest.Server(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if req.URL.Path == "/ping" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npong\r\n")
			return
		}
		_, _ = io.WriteString(conn, ok(clean))
	})})
	if _, err := c.Probe(t.Context()); !errors.Is(err, rspamd.ErrBlind) || !rspamd.Distrusts(err) {
		t.Errorf("got %v", err)
	}
}

// What it is told of the envelope, and that nothing of it can be another field.
func TestTold(t *testing.T) {
	told := make(chan http.Header, 1)
	c := client(t, rspamd.Config{Address: labtest.Server(t, func(conn net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			told <- req.Header
			_, _ = io.WriteString(conn, ok(good))
		}
	})})
	r := request("x\r\n")
	r.From, r.Helo, r.Name = "<>", "evil\r\nIP: 127.0.0.1", strings.Repeat("n", 2000)
	if _, err := c.Check(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	h := <-told
	if h.Get("Ip") != "192.0.2.9" || h.Get("From") != "<>" || len(h.Values("Rcpt")) != 2 || len(h.Values("Helo")) != 0 || len(h.Values("Hostname")) != 0 || h.Get("Queue-Id") != "K7Q29" {
		t.Errorf("told %v", h)
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "unix:", "unix:x", "host", "host:0", ":783", "host:65536", "tcp://host:1"} {
		if _, err := rspamd.New(rspamd.Config{Address: address}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	if _, err := rspamd.New(rspamd.Config{Address: "/x", MaxSize: -1}); err == nil {
		t.Error("a negative size was taken")
	}
}
