package e2e

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// syslogServer is a syslog server over UDP, as one that others wrote would read it.
type syslogServer struct {
	conn net.PacketConn
	mu   sync.Mutex
	got  []string
}

func listenSyslog(t testing.TB) *syslogServer {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &syslogServer{conn: conn}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.got = append(s.got, string(b[:n]))
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *syslogServer) addr() string { return s.conn.LocalAddr().String() }

func (s *syslogServer) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

// rfc5424 is the form of RFC 5424 section 6: priority, version, time, host, program, process, kind, structured data, text.
var rfc5424 = regexp.MustCompile(`^<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) ((?:\[[^ =\]"]+(?: [^ =\]"]+="(?:[^"\\\]]|\\["\\\]])*")*\])+|-) (.*)$`)

// realWatch: what watches the daemon sees the mails, and a part that dies. It is the last: the part stays dead.
func realWatch(ctx context.Context, t *testing.T, p *realParts, w *world, log *syslogServer) {
	m := letter(mailbox)
	r, err := lab.Swaks{Server: w.addr(), From: m.From, To: []string{m.To}, Data: m.Body}.Send(ctx)
	if err != nil || r.Code != 0 {
		t.Fatalf("%v\n%s", err, r.Transcript)
	}
	id := reference.FindString(r.Reply)
	w.syslogTells(ctx, t, log, id, messageID(t, m.Body))
	w.pages(ctx, t, true)
	w.commands(ctx, t, p, true)

	if err := p.clamd.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // an idle daemon would find out by its probes, in its own time
		m := letter(mailbox)
		r, err := lab.Swaks{Server: w.addr(), From: m.From, To: []string{m.To}, Data: m.Body}.Send(ctx)
		if err != nil || !strings.HasPrefix(r.Reply, notScanned) {
			t.Errorf("%v %q", err, r.Reply)
		}
	}
	w.commands(ctx, t, p, false)
	w.pages(ctx, t, false)
}

// syslogTells: the messages are RFC 5424, one of them of the mail, with the same JSON as on stdout.
func (w *world) syslogTells(ctx context.Context, t testing.TB, log *syslogServer, id, message string) {
	t.Helper()
	if err := eventually(ctx, func() (string, bool) {
		all := strings.Join(log.messages(), "\n")
		return all, strings.Contains(all, message)
	}); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, text := range log.messages() {
		f := rfc5424.FindStringSubmatch(text)
		if f == nil {
			t.Fatalf("no RFC 5424: %q", text)
		}
		if _, err := time.Parse(time.RFC3339Nano, f[2]); err != nil || f[3] != hostname || f[4] != "gatepost" || len(text) > 8<<10 {
			t.Errorf("%v in %q", err, text)
		}
		var e event
		if err := json.Unmarshal([]byte(f[8]), &e); err != nil || e.text("kind") != f[6] {
			t.Errorf("%s: %v in %q", f[6], err, text)
		}
		seen[f[6]]++
		if f[6] == "transaction" && e.text("id") == id {
			if !strings.Contains(f[7], `id="`+id+`"`) || f[1] != "22" || !strings.Contains(w.daemonSaid(), f[8]+"\n") {
				t.Errorf("of the mail: %q", text)
			}
			seen["it"]++
		}
	}
	if seen["it"] != 1 || seen["ready"] != 1 || seen["connection"] == 0 || seen["reload"] == 0 {
		t.Errorf("syslog has %v", seen)
	}
}

// daemonSaid is all that the daemon wrote on stdout and stderr.
func (w *world) daemonSaid() string {
	text, err := os.ReadFile(filepath.Join(w.dir, "gatepost.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// pages: /healthz, /readyz and /metrics. A dead scanner has a failure policy, so the gateway stays ready, and says so.
func (w *world) pages(ctx context.Context, t testing.TB, well bool) {
	t.Helper()
	if status, body, err := w.daemon.Get(ctx, "/healthz"); err != nil || status != 200 || body != "alive\n" {
		t.Errorf("/healthz: %d %q %v", status, body, err)
	}
	var ready struct {
		Ready bool
		Parts []struct {
			Name, Detail string
			OK           bool
		}
	}
	up := "0"
	if well {
		up = "1"
	}
	if err := eventually(ctx, func() (string, bool) {
		status, body, err := w.daemon.Get(ctx, "/readyz")
		if err != nil || status != 200 || json.Unmarshal([]byte(body), &ready) != nil {
			t.Fatalf("/readyz: %d %q %v", status, body, err)
		}
		parts := make(map[string]bool)
		for _, part := range ready.Parts {
			parts[part.Name] = part.OK
		}
		return body, ready.Ready && parts["listeners"] && parts["next hops"] && parts["log"] && parts["spamassassin"] && parts["clamav"] == well
	}); err != nil {
		t.Error(err)
	}
	_, body, err := w.daemon.Get(ctx, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`gatepost_part_up{part="clamav"} ` + up, `gatepost_part_up{part="next hops"} 1`, `gatepost_transactions_total{reason="none",verdict="accept"} `,
		`gatepost_transactions_total{reason="spam.score",verdict="reject"} 1`, `gatepost_connections_total{end="quit",listener="smtp"} `,
		`gatepost_checks_total{check="clamav",result="fail"} 3`, `gatepost_relays_total{result="delivered"} `, `gatepost_check_seconds_count{check="spamassassin"} `,
		"\ngatepost_message_octets_total ", "\ngatepost_sessions 0\n", "\ngatepost_bodies 0\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics has no %q in\n%s", want, body)
		}
	}
}

// commands: status and check --live name each server, and end with 1 when one does not answer.
func (w *world) commands(ctx context.Context, t testing.TB, p *realParts, well bool) {
	t.Helper()
	clamd, want := "ok   clamav ", 0
	if !well {
		clamd, want = "FAIL clamav ", 1
	}
	// clamd's word on how busy it is comes late where the machine is: then status has it the next time.
	busy := func(text string) bool {
		return strings.Contains(strings.Join(strings.Fields(text), " "), "ok clamav work unix:"+p.clamd.Socket+" THREADS: live ")
	}
	for _, args := range [][]string{{"status"}, {"check", "--live"}} {
		var out string
		if err := eventually(ctx, func() (string, bool) {
			text, complaint, code, err := w.daemon.Command(ctx, args...)
			if err != nil {
				t.Fatal(err)
			}
			out = text
			return text + complaint, code == want && (!well || args[0] != "status" || busy(text))
		}); err != nil {
			t.Errorf("gatepost %q: not exit code %d, or status does not tell how busy clamd is: %v", args, want, err)
			continue
		}
		flat := strings.Join(strings.Fields(out), " ")
		for _, line := range []string{clamd + "unix:" + p.clamd.Socket, "ok spamassassin " + p.spamd.Addr + " SpamAssassin", "ok next hop " + p.inside.Addr + " route internal", "ok next hop " + p.inside.Addr + " route pinned", "ok dns " + p.names.Addr()} {
			if line := strings.Join(strings.Fields(line), " "); !strings.Contains(flat, line) {
				t.Errorf("gatepost %q has no %q:\n%s", args, line, out)
			}
		}
	}
}
