package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// notepad is what a webhook and a syslog server were told.
type notepad struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *notepad) add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.WriteString(text + "\n")
}

func (t *notepad) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// TestAlarms: a real daemon whose next hop is dead tells so by a smarthost of its own, which wants TLS and a password, by a signed
// webhook and by syslog; gatepost alarm test proves each path, and names the one that fails. Somebody who knows of the alarm is
// remembered over a kill -9, and the alarm goes on under its name.
func TestAlarms(t *testing.T) {
	t.Parallel()
	const user, password = "gateway", "correct-horse-battery"
	certificate, key, err := lab.NewCertificate("smtp.example.net")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	host, err := lab.StartGoSMTP(&tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	host.Require(user, password)
	hooked, logged := new(notepad), new(notepad)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.HasPrefix(r.Header.Get("X-Gatepost-Signature"), "t=") {
			http.Error(w, "not signed", http.StatusForbidden)
			return
		}
		hooked.add(string(body))
		_, _ = io.WriteString(w, "noted")
	}))
	t.Cleanup(hook.Close)
	secrets := labtest.Dir(t)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(secrets, "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		var b [8192]byte
		for {
			n, err := socket.Read(b[:])
			if err != nil {
				return
			}
			logged.add(string(b[:n]))
		}
	}()
	put := func(name, text string) string {
		path := filepath.Join(secrets, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	smarthost, port, err := net.SplitHostPort(host.Addr())
	if err != nil {
		t.Fatal(err)
	}
	alarms := fmt.Sprintf("[alarms.mail]\nto = [\"admin@example.net\", \"night@example.net\"]\nsmarthost = %q\nport = %s\nserver_name = \"smtp.example.net\"\nca_file = %q\nauth = { user = %q, password_file = %q }\n"+
		"[alarms.webhook]\nurl = %q\nsecret_file = %q\n[alarms.syslog]\nserver = \"unix:%s/log\"\n",
		smarthost, port, put("ca.pem", string(certificate)), user, put("password", password+"\n"), hook.URL+"/token-in-path", put("secret", "s3cret\n"), secrets)
	w := begin(t, setup{policy: alarms, offers: "-", routes: []route{{name: "internal", domains: []string{"served.test"}, addr: "127.0.0.1:1"}}})

	out, _ := w.command(t, 0, "alarm", "test")
	for _, want := range []string{"ok   mail", "ok   webhook", "200 noted", "ok   syslog"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if messages, err := host.Await(t.Context(), 1); err != nil || len(messages[0].To) != 2 || !strings.Contains(string(messages[0].Body), "Nothing is wrong") {
		t.Fatal(messages, err)
	}
	messages, err := host.Await(t.Context(), 2) // the dead next hop, without being asked
	if err != nil {
		t.Fatal(err)
	}
	if text := string(messages[1].Body); !strings.Contains(text, "CRITICAL part:next-hops") || !strings.Contains(text, "Auto-Submitted: auto-generated") {
		t.Errorf("%s", text)
	}
	for deadline := time.Now().Add(clientTime); !strings.Contains(hooked.String(), "part:next-hops") || !strings.Contains(logged.String(), "part:next-hops"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("webhook:\n%s\nsyslog:\n%s", hooked, logged)
		}
	}
	if out, _ := w.command(t, 0, "alarm", "paths"); strings.Contains(out, "token-in-path") || !strings.Contains(out, "1 sent") {
		t.Errorf("%s", out)
	}
	w.command(t, 0, "alarm", "ack", "part:next-hops", "--note", "the server is being moved", "--owner", "anna")
	w.command(t, 1, "alarm", "ack", "part:no-such")
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.awaitCommand(t, "the server is being moved", "alarm", "show", "part:next-hops")
	out, _ = w.command(t, 1, "alarm", "list", "--json")
	var a struct {
		ID    string
		Owner string
		Count int
		Ack   *struct{ Note string }
	}
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &a); err != nil || a.ID != "part:next-hops" || a.Owner != "anna" || a.Ack == nil || a.Count != 1 {
		t.Errorf("%+v, %v: %s", a, err, out)
	}
	if out, _ := w.command(t, 0, "report", "weekly"); !strings.Contains(out, "let through") || !strings.Contains(out, "part:next-hops") {
		t.Error(out)
	}
	w.command(t, 0, "report", "weekly", "--send")
	messages, err = host.Await(t.Context(), 3)
	if err != nil || !strings.Contains(string(messages[len(messages)-1].Body), "Why mail was stopped") {
		t.Errorf("%d messages, %v", len(messages), err)
	}
	hook.Close()
	if out, _ := w.command(t, 1, "alarm", "test"); !strings.Contains(out, "FAIL webhook") || !strings.Contains(out, "ok   mail") {
		t.Errorf("%s", out)
	}
}

// TestBypass: mail that is deferred since spamd is away goes on while its check is left out, through the session that has begun and
// over a kill -9, and no longer when that is ended; trace says so. clamav is not left out, and why is said.
func TestBypass(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{spamd: labtest.ClosedAddr(t), policy: noGreylist + "[checks.spamassassin]\nunknown = \"defer\"\n"})
	send := func(c *client, n int) string {
		c.want("250", "MAIL FROM:<alice@example.org>")
		c.want("250", "RCPT TO:<bob@served.test>")
		c.want("354", "DATA")
		c.send(fmt.Sprintf("From: alice@example.org\r\nTo: bob@served.test\r\nSubject: hello %d\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <hello%d@example.org>\r\n\r\nhello\r\n.\r\n", n, n))
		return c.reply()
	}
	c := w.hello(t)
	if reply := send(c, 1); !strings.HasPrefix(reply, "451") {
		t.Fatal(reply)
	}
	if _, why := w.command(t, 1, "bypass", "clamav", "--for", "2h", "--reason", "slow"); !strings.Contains(why, "it keeps malware out") {
		t.Error(why)
	}
	w.command(t, 2, "bypass", "spamassassin", "--for", "2h")
	w.command(t, 0, "bypass", "spamassassin", "--for", "2h", "--reason", "spamd is being mended")
	reference := spoolRef(t, send(c, 2))
	c.want("221", "QUIT")
	w.awaitCommand(t, "bypassed", "trace", reference)
	w.awaitCommand(t, "bypass:spamassassin", "alarm", "list")
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.awaitCommand(t, "spamd is being mended", "status")
	c = w.hello(t)
	spoolRef(t, send(c, 3))
	w.command(t, 0, "bypass", "end", "spamassassin")
	if reply := send(c, 4); !strings.HasPrefix(reply, "451") {
		t.Error(reply)
	}
	w.command(t, 1, "bypass", "end", "spamassassin")
	if out, _ := w.command(t, 0, "bypass", "list", "--json"); out != "" {
		t.Error(out)
	}
}
