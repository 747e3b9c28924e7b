package hook

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/lab/labtest"
)

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// after makes a server that reads a whole request and says text.
func after(text string) func(net.Conn) {
	return func(c net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(c, text)
		}
	}
}

func client(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		reply string
		want  Answer // Result "" for an error
	}{
		"pass":           {`{"result":"pass"}`, Answer{Result: Pass}},
		"fail":           {`{"result":"fail","score":2.5,"text":"a\nb","hint":"quarantine","evidence":[{"name":"n","text":"t"}]}`, Answer{Result: Fail, Score: 2.5, Text: "a?b", Hint: "quarantine"}},
		"unknown":        {` {"result":"unknown"} `, Answer{Result: Unknown}},
		"nothing":        {``, Answer{}},
		"no JSON":        {`pass`, Answer{}},
		"list":           {`[{"result":"pass"}]`, Answer{}},
		"two":            {`{"result":"pass"}{"result":"fail"}`, Answer{}},
		"no result":      {`{"score":1}`, Answer{}},
		"another word":   {`{"result":"PASS"}`, Answer{}},
		"unknown field":  {`{"result":"pass","points":1}`, Answer{}},
		"score as text":  {`{"result":"fail","score":"1"}`, Answer{}},
		"huge score":     {`{"result":"fail","score":1000}`, Answer{}},
		"drop":           {`{"result":"fail","hint":"drop"}`, Answer{}},
		"null":           {`null`, Answer{}},
		"much evidence":  {`{"result":"fail","evidence":[` + strings.Repeat(`{"name":"n"},`, 20) + `{"name":"n"}]}`, Answer{}},
		"huge":           {`{"result":"pass","text":"` + strings.Repeat("x", 64<<10) + `"}`, Answer{}},
		"long text, cut": {`{"result":"pass","text":"` + strings.Repeat("x", 300) + `"}`, Answer{Result: Pass, Text: strings.Repeat("x", 200)}},
	} {
		a, err := client(t, Config{URL: "http://" + labtest.Server(t, after(ok(tc.reply))) + "/check"}).Ask(t.Context(), &Document{From: "a@b.example"})
		if (err == nil) != (tc.want.Result != "") || a.Result != tc.want.Result || a.Score != tc.want.Score || a.Text != tc.want.Text || a.Hint != tc.want.Hint {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		if err != nil && (!Blames(err) || Repeatable(err)) {
			t.Errorf("%s: blames %v, repeatable %v", name, Blames(err), Repeatable(err))
		}
	}
}

func TestFaults(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"closes":      func(net.Conn) {},
		"silent":      func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"garbage":     after("SSH-2.0-x\r\n"),
		"half":        after("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"result\":\"pass\"}"),
		"error":       after("HTTP/1.1 500 no\r\nContent-Length: 17\r\n\r\n{\"result\":\"pass\"}"),
		"no content":  after("HTTP/1.1 204 no\r\n\r\n"),
		"redirect":    after("HTTP/1.1 307 go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 17\r\n\r\n{\"result\":\"pass\"}"),
		"huge head":   after("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10) + "\r\nContent-Length: 17\r\n\r\n{\"result\":\"pass\"}"),
		"compressed":  after("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"),
		"endless":     after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat(" ", 0x10000)+"\r\n", 2)),
		"half a head": after("HTTP/1.1 200 OK\r\nContent-"),
	} {
		a, err := client(t, Config{URL: "http://" + labtest.Server(t, serve) + "/", Timeout: time.Second}).Ask(t.Context(), &Document{})
		if err == nil || a.Result != "" || !Blames(err) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client(t, Config{URL: "http://127.0.0.1:1/"}).Ask(ctx, &Document{}); !errors.Is(err, context.Canceled) || Blames(err) {
		t.Errorf("a caller that went away: %v", err)
	}
	if _, err := client(t, Config{URL: "http://127.0.0.1:1/"}).Ask(t.Context(), &Document{}); !Repeatable(err) {
		t.Errorf("nobody there: %v", err)
	}
}

// A connection that was kept and has ended since is replaced; one that is new and ends is an error.
func TestKeptConnection(t *testing.T) {
	var connections, alive atomic.Int32
	alive.Store(2)
	c := client(t, Config{URL: "http://" + labtest.Server(t, func(conn net.Conn) {
		connections.Add(1)
		if alive.Add(-1) < 0 {
			return
		}
		in := bufio.NewReader(conn)
		for asked := range 2 {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if len(req.Header["Idempotency-Key"]) != 0 {
				t.Error("a key was sent")
			}
			if asked == 0 {
				_, _ = io.WriteString(conn, ok(`{"result":"pass"}`))
			}
		}
	}) + "/"})
	for i, want := range []int32{1, 2} {
		if a, err := c.Ask(t.Context(), &Document{}); err != nil || a.Result != Pass || connections.Load() != want {
			t.Errorf("question %d: %+v, %v, %d connections", i, a, err, connections.Load())
		}
	}
	if a, err := c.Ask(t.Context(), &Document{}); err == nil || connections.Load() != 3 {
		t.Errorf("%+v, %v, %d connections", a, err, connections.Load())
	}
}

// What is posted can be verified by who knows the secret, and says what the document says.
func TestSigned(t *testing.T) {
	secret := []byte("between us")
	seen := make(chan error, 1)
	address := labtest.Server(t, func(c net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		seen <- func() error {
			at, sum, _ := strings.Cut(strings.TrimPrefix(req.Header.Get("X-Gatepost-Signature"), "t="), ",v1=")
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(at + "." + string(body)))
			if hex.EncodeToString(mac.Sum(nil)) != sum {
				return fmt.Errorf("signature %q", req.Header.Get("X-Gatepost-Signature"))
			}
			var d Document
			if err := json.Unmarshal(body, &d); err != nil || d.Format != Format || d.From != "a@b.example" || string(d.Message) != "x" {
				return fmt.Errorf("document %+v, %w", d, err)
			}
			return nil
		}()
		_, _ = io.WriteString(c, ok(`{"result":"pass"}`))
	})
	if _, err := client(t, Config{URL: "http://" + address + "/", Secret: secret}).Ask(t.Context(), &Document{From: "a@b.example", Message: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// In clear, nothing goes beyond loopback and private networks, whatever a name resolves to.
func TestNearby(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "10.1.2.3:80": true, "[fd00::1]:80": true, "[::ffff:192.168.0.1]:80": true,
		"169.254.0.1:80": true, "192.0.2.1:80": false, "[2001:db8::1]:80": false, "[::ffff:192.0.2.1]:80": false, "0.0.0.0:80": false, "x": false} {
		if err := nearby("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	_, err := client(t, Config{URL: "http://192.0.2.1:9/", DialTimeout: 10 * time.Second}).Ask(t.Context(), &Document{})
	if err == nil || !strings.Contains(err.Error(), "http is in clear") || !Blames(err) {
		t.Errorf("a foreign address: %v", err)
	}
}

func TestURLs(t *testing.T) {
	for _, u := range []string{"", "x", "ftp://h/", "http://", "http://u:p@h/", "http://h/#f", "http:///x"} {
		if _, err := New(Config{URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

// FuzzAnswer checks that an answer is always one that a hook may give.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"result":"fail","score":2.5,"text":"a\nb","hint":"quarantine","evidence":[{"name":"n","text":"t"}]}`))
	f.Add([]byte(`{"result":"pass","result":"fail"}`))
	f.Add([]byte(`{"Result":"pass"}`))
	f.Add([]byte(`{"result":"pass","score":1e999}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAnswer(text)
		if err != nil {
			if a.Result != "" {
				t.Fatalf("%q: %+v with %v", text, a, err)
			}
			return
		}
		if a.Result != Pass && a.Result != Fail && a.Result != Unknown || a.Score > maxScore || a.Score < -maxScore || len(a.Text) > maxText ||
			len(a.Evidence) > maxEvidence || strings.ContainsAny(a.Text, "\r\n\x00") {
			t.Fatalf("%q: %+v", text, a)
		}
	})
}
