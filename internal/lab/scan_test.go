package lab

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// testDir is a lab folder that goes with the test.
func testDir(t *testing.T) string {
	t.Helper()
	dir, err := NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// stopped stops the part and fails when anything of it still runs.
func stopped(t *testing.T, p *Process) {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Errorf("stop: %v\n%s", err, p.Log())
	}
	if p.Running() || groupAlive(p.PID()) {
		t.Errorf("%s: a process of group %d still runs", p.name, p.PID())
	}
}

// instream asks a clamd what it finds in data.
func instream(t *testing.T, network, addr string, data []byte) string {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	var b bytes.Buffer
	b.WriteString("zINSTREAM\x00")
	binary.Write(&b, binary.BigEndian, uint32(len(data)))
	b.Write(data)
	b.Write([]byte{0, 0, 0, 0})
	if _, err := conn.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(answer), "\x00")
}

func zipped(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestClamd(t *testing.T) {
	c, err := StartClamd(testContext(t), testDir(t), ClamdOptions{Signatures: []string{"Lab-Word:0:*:" + fmt.Sprintf("%x", "plainly forbidden")}})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, c.Process)
	eicar := []byte(EICAR())
	const found = "stream: Eicar-Test-Signature.UNOFFICIAL FOUND"
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"clean":      {[]byte("Hello\r\n"), "stream: OK"},
		"plain":      {eicar, found},
		"zip in zip": {zipped(t, "a.zip", zipped(t, "b.com", eicar)), found},
		"tar in zip": {zipped(t, "a.tar", tarred(t, "b.com", eicar)), found},
		"tar":        {tarred(t, "b.com", eicar), found},
		"own":        {[]byte("this is plainly forbidden."), "stream: Lab-Word.UNOFFICIAL FOUND"},
	} {
		if got := instream(t, "unix", c.Socket, test.data); got != test.want {
			t.Errorf("%s over the unix socket: got %q, want %q", name, got, test.want)
		}
		if got := instream(t, "tcp", c.Addr, test.data); got != test.want {
			t.Errorf("%s over TCP: got %q, want %q", name, got, test.want)
		}
	}
}

func TestSpamd(t *testing.T) {
	s, err := StartSpamd(testContext(t), testDir(t), SpamdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, s.Process)
	message := "From: a@example.org\r\nTo: b@example.net\r\nSubject: test\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n"
	for text, want := range map[string]string{GTUBE(): "Spam: True", "Shall we meet at noon?": "Spam: False"} {
		conn, err := net.Dial("unix", s.Socket)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		body := message + text + "\r\n"
		fmt.Fprintf(conn, "SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n%s", len(body), body)
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.Contains(string(answer), want) {
			t.Errorf("got %q (%v), want %q", answer, err, want)
		}
	}
}

func TestPauseLeavesAScannerHanging(t *testing.T) {
	c, err := StartClamd(testContext(t), testDir(t), ClamdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, c.Process)
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", c.Addr)
	if err != nil {
		t.Fatalf("a paused clamd is still connected to by the kernel: %v", err)
	}
	defer conn.Close()
	conn.Write([]byte("zPING\x00"))
	conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 8)); !os.IsTimeout(err) {
		t.Errorf("read %d bytes, %v from a paused clamd; want a timeout", n, err)
	}
	if err := c.Resume(); err != nil {
		t.Fatal(err)
	}
	if !c.pings("tcp", c.Addr) {
		t.Error("clamd does not answer after Resume")
	}
}

func TestStartTellsWhy(t *testing.T) {
	_, err := StartClamd(testContext(t), testDir(t), ClamdOptions{Settings: []string{"NoSuchSetting yes"}})
	if err == nil || !strings.Contains(err.Error(), "NoSuchSetting") {
		t.Errorf("got %v, want an error with clamd's own words", err)
	}
}
