package alarm_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/internal/alarm"
)

// TestSyslog shows what a syslog server is told, by datagrams of a socket and by counted octets, and that nobody there is an error.
func TestSyslog(t *testing.T) {
	at := time.Date(2026, 11, 27, 5, 0, 0, 0, time.UTC)
	n := &alarm.Notice{ID: "n1", Host: "mx.example.org", At: at, Began: []alarm.Alarm{{ID: "part:clamav", Severity: alarm.Critical, Text: "does not answer", Since: at}},
		Over: []alarm.Alarm{{ID: "part:dns", Severity: alarm.Warning, Text: "no answer", Since: at, Over: at}}, More: 2}
	want := []string{"<18>1 2026-11-27T05:00:00.000Z mx.example.org gatepost PID alarm - part:clamav: does not answer",
		"<21>1 2026-11-27T05:00:00.000Z mx.example.org gatepost PID alarm_over - part:dns: no answer",
		"<20>1 2026-11-27T05:00:00.000Z mx.example.org gatepost PID alarm - 2 more alarms; gatepost alarm list shows all of them"}
	path := filepath.Join(t.TempDir(), "log")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := &alarm.Syslog{Network: "unixgram", Address: path}
	if said, err := s.Send(context.Background(), n); err != nil || said != "3 messages were sent; syslog does not answer" {
		t.Fatal(said, err)
	}
	for _, want := range want {
		var b [4096]byte
		k, err := socket.Read(b[:])
		if err != nil {
			t.Fatal(err)
		}
		told(t, string(b[:k]), want)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s = &alarm.Syslog{Network: "tcp", Address: listener.Addr().String()}
	if _, err := s.Send(context.Background(), n); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, want := range want {
		count, err := r.ReadString(' ')
		k, bad := strconv.Atoi(strings.TrimSpace(count))
		if err != nil || bad != nil {
			t.Fatal(count, err, bad)
		}
		text := make([]byte, k)
		if _, err := io.ReadFull(r, text); err != nil {
			t.Fatal(err)
		}
		told(t, string(text), want)
	}
	for network, address := range map[string]string{"unixgram": path + "-not", "tcp": "127.0.0.1:1"} {
		s = &alarm.Syslog{Network: network, Address: address}
		if _, err := s.Send(context.Background(), &alarm.Notice{Host: "mx", Test: true}); err == nil {
			t.Errorf("%s: nobody is there, and it was told", network)
		}
	}
}

// told compares but for the number of the process.
func told(t *testing.T, got, want string) {
	t.Helper()
	words := strings.SplitN(got, " ", 6)
	if len(words) < 6 {
		t.Fatal(got)
	}
	words[4] = "PID"
	if got := strings.Join(words, " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
