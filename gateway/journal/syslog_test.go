package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rfc5424 is the header and the structured data of RFC 5424 section 6, as we write them.
var rfc5424 = regexp.MustCompile(`^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S{1,255}) (\S{1,48}) (\d{1,128}) (\S{1,32}) \[gatepost@32473((?: [a-z]+="[^"]*")*)\] (\{.*\})$`)

// parts5424 reads a message strictly.
func parts5424(t *testing.T, msg string) []string {
	t.Helper()
	m := rfc5424.FindStringSubmatch(msg)
	if m == nil {
		t.Fatalf("not RFC 5424: %q", msg)
	}
	if !json.Valid([]byte(m[8])) {
		t.Errorf("no JSON: %s", m[8])
	}
	return m
}

func newSyslog(t *testing.T, o SyslogOptions) *Syslog {
	t.Helper()
	o.Hostname = "mx.one.example"
	s, err := NewSyslog(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(within(t, 5*time.Second)) }) // a second time where the test closed it
	return s
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestSyslogOfDatagrams(t *testing.T) {
	for network, address := range map[string]string{"unixgram": filepath.Join(t.TempDir(), "log"), "udp": "127.0.0.1:0"} {
		t.Run(network, func(t *testing.T) {
			server, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			s := newSyslog(t, SyslogOptions{Network: network, Address: server.LocalAddr().String()})
			s.Send(newLine(mailEvent()))
			s.Send(newLine(virusEvent()))
			s.Send(daemonLine(began, Alarm, Alarm.severity(), []slog.Attr{slog.String("part", "journal")}))
			buf := make([]byte, 64<<10)
			want := [][3]string{
				{"22", "transaction", ` id="1M83V-VS6K0-002A" verdict="tag" reason="spam.score"`},
				{"21", "transaction", ` id="1M83V-VS6K0-002A" verdict="reject" reason="malware.found"`},
				{"20", "alarm", ""},
			}
			for _, w := range want {
				_ = server.SetReadDeadline(time.Now().Add(10 * time.Second)) // a socket that has none fails in ReadFrom
				n, _, err := server.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				m := parts5424(t, string(buf[:n]))
				if m[1] != w[0] || m[6] != w[1] || m[7] != w[2] || m[3] != "mx.one.example" || m[4] != "gatepost" {
					t.Errorf("%q", m[1:8])
				}
			}
		})
	}
}

// frame reads one message with its octet count (RFC 6587 section 3.4.1).
func frame(r *bufio.Reader) (string, error) {
	count, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
	if err != nil {
		return "", fmt.Errorf("count %q: %w", count, err)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// TestSyslogOverTCP shows the octet count, and that a server that comes back is found again. What is written between its
// end and the news of it is lost, as the comment of Syslog says.
func TestSyslogOverTCP(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := newSyslog(t, SyslogOptions{Network: "tcp", Address: server.Addr().String()})
	for round := range 3 {
		accepted := make(chan net.Conn, 1)
		go func() {
			if conn, err := server.Accept(); err == nil {
				accepted <- conn
			}
		}()
		var conn net.Conn
		for end := time.Now().Add(10 * time.Second); conn == nil; {
			s.Send(newLine(mailEvent()))
			select {
			case conn = <-accepted:
			case <-time.After(5 * time.Millisecond):
				if time.Now().After(end) {
					t.Fatalf("round %d: nobody called", round)
				}
			}
		}
		s.Send(newLine(virusEvent()))
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // a connection that has none fails in Read
		r := bufio.NewReader(conn)
		for verdict := ""; verdict != "reject"; {
			msg, err := frame(r)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			m := parts5424(t, msg)
			if verdict = "tag"; strings.Contains(m[7], `verdict="reject"`) {
				verdict = "reject"
			}
		}
		conn.Close()
	}
}

// TestSyslogIsAway shows that a server that is not there costs lines, which are counted, and nobody's time, and that it is
// asked again with pauses that grow.
func TestSyslogIsAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := newSyslog(t, SyslogOptions{Address: path, Queue: 8})
	l := newLine(mailEvent())
	for range 100 {
		s.Send(l)
	}
	if err := s.Close(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	if s.Lost() == 0 || s.pause != syslogBackOff {
		t.Errorf("%d lost, pause %s", s.Lost(), s.pause)
	}
	for _, want := range []time.Duration{2, 4, 8, 16, 30, 30} {
		if s.later(); s.pause != want*time.Second {
			t.Errorf("pause %s, want %ds", s.pause, want)
		}
	}
}

// TestSyslogPauses shows that no attempt is made before the pause is over, and one when it is.
func TestSyslogPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSyslog(t, SyslogOptions{Address: "/nonexistent/log"})
		if err := s.connect(); err == nil || err == errPause {
			t.Errorf("first attempt: %v", err)
		}
		if err := s.connect(); err != errPause {
			t.Errorf("at once again: %v", err)
		}
		time.Sleep(syslogBackOff)
		if err := s.connect(); err == nil || err == errPause {
			t.Errorf("after the pause: %v", err)
		}
	})
}

// TestSyslogHangs shows that a server that takes a connection and reads nothing holds up neither senders nor the end.
func TestSyslogHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewSyslog(SyslogOptions{Network: "tcp", Address: "192.0.2.1:514", Queue: 4})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe() // nobody reads
		defer theirs.Close()
		s.conn = ours // the goroutine looks at it only after the first line
		began, took := time.Now(), 0
		for range 100 {
			if s.Send(newLine(mailEvent())) {
				took++
			}
		}
		if took < 4 || took > 6 || time.Since(began) != 0 {
			t.Errorf("%d lines taken in %s", took, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := s.Close(ctx); err == nil || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		<-s.done
		if s.Lost() != int64(took) || time.Since(began) > syslogWrite {
			t.Errorf("%d of %d counted as lost, after %s", s.Lost(), took, time.Since(began))
		}
		if s.Send(newLine(mailEvent())) {
			t.Error("took a line after the end")
		}
	})
}

func TestSyslogMessageIsBounded(t *testing.T) {
	s := &Syslog{o: SyslogOptions{Network: "tcp", Enterprise: "32473", Facility: 2}, header: "h a 1 "}
	e := mailEvent()
	for range 100 {
		e.Record.Findings = append(e.Record.Findings, e.Record.Findings[3])
	}
	e.Subject, e.Record.HeaderFrom, e.Record.Helo = strings.Repeat("s", 2000), strings.Repeat("h", 2000), strings.Repeat("e", 2000)
	l := newLine(e)
	if len(l.JSON) <= maxDatagram {
		t.Fatalf("the line has only %d octets", len(l.JSON))
	}
	msg, err := frame(bufio.NewReader(strings.NewReader(string(s.message(l)))))
	if err != nil {
		t.Fatal(err)
	}
	m := parts5424(t, msg)
	if len(msg) > maxDatagram || !strings.Contains(m[8], `"id":"1M83V-VS6K0-002A"`) || !strings.Contains(m[8], `"cut"`) {
		t.Errorf("%d octets: %s", len(msg), m[8])
	}
}

func TestSyslogIsRefused(t *testing.T) {
	for _, o := range []SyslogOptions{{}, {Network: "tls", Address: "x"}, {Network: "udp"}} {
		if _, err := NewSyslog(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
