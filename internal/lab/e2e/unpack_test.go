package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// zipped is a message with an archive of one file.
func zipped(t *testing.T, name string, content []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var m strings.Builder
	m.WriteString("From: <alice@example.org>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <unpack@example.org>\r\nSubject: a file\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/zip; name=files.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for s := base64.StdEncoding.EncodeToString(b.Bytes()); s != ""; {
		n := min(76, len(s))
		m.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	m.WriteString("--b--\r\n")
	return m.String()
}

// said is what a client is told of a whole message.
func (w *world) said(t *testing.T, message string) string {
	t.Helper()
	c := w.hello(t)
	c.say("MAIL FROM:<alice@example.org>")
	c.say("RCPT TO:<bob@served.test>")
	if got := c.say("DATA"); !strings.HasPrefix(got, "354") {
		t.Fatalf("DATA: %q", got)
	}
	c.send(message + ".\r\n")
	return c.reply()
}

// childrenOf are the processes of the daemon that look into messages.
func childrenOf(pid int) (out []int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, field := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(field); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// killChildren kills each process that looks into a message, until it is told to stop.
func (w *world) killChildren() (killed *atomic.Int64, stop func()) {
	killed = new(atomic.Int64)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
			for _, pid := range childrenOf(w.daemon.PID()) {
				if syscall.Kill(pid, syscall.SIGKILL) == nil {
					killed.Add(1)
				}
			}
		}
	}()
	return killed, func() { close(over); <-done }
}

// TestUnpackAwayMalware: malware is refused for good, although the message could not be looked into and would be deferred else;
// and nothing that only scores is asked about it.
func TestUnpackAwayMalware(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{limits: noWaits + "message_size = \"32M\"\n", policy: `
[checks.attachments.type]
reasons = { "unpack.failed" = "defer" }
[checks.shape]
action = "off"
`})
	w.clamd.On("INSTREAM", lab.Action{Bytes: []byte("stream: Win.Trojan.Lab-1 FOUND\x00"), Then: lab.Close})
	noise := make([]byte, 12<<20) // what takes a while to be sent and read
	_, _ = rand.NewChaCha8([32]byte{2}).Read(noise)
	heavy := zipped(t, "noise.txt", noise)
	_, stop := w.killChildren()
	defer stop()
	for range 20 { // a process may be done before it is found
		said, e := w.asked(t, "bob@served.test", heavy)
		if err := e.check([]string{"verdict=reject", "check=clamav", "reason=malware.found"}); err != nil || !strings.HasPrefix(said, "550 5.7.1 ") {
			t.Fatalf("%q, %v, in\n%s", said, err, show([]event{e}))
		}
		if e.check([]string{"findings~attachments.type,unknown"}) == nil {
			if err := e.check([]string{"findings~spamassassin,not run"}); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("no process was killed before it was done")
}

// TestUnpack: the daemon, confined itself, has attachments looked into by a confined process. A program in an archive is
// refused where that is wanted, a bomb is stopped, and a process that is killed makes nothing known: the gateway goes on.
func TestUnpack(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{limits: noWaits + "message_size = \"32M\"\n", policy: `
[checks.attachments.type]
action = "reject"
reasons = { "unpack.failed" = "defer" }
[checks.attachments.archive]
action = "reject"
reasons = { "attachments.limits" = "reject", "unpack.failed" = "defer" }
[checks.shape]
action = "off"
`})
	w.partIs(t, "unpack", "system calls filtered, landlock version")
	program := append([]byte("MZ\x90\x00\x03"), make([]byte, 100)...)
	if got := w.said(t, zipped(t, "setup.exe", program)); !strings.HasPrefix(got, "550 5.7.1 Message refused: files of this kind are not taken here: setup.exe (executable)") {
		t.Errorf("a program in an archive: %q", got)
	}
	if got := w.said(t, zipped(t, "readme.txt", []byte("hello"))); !strings.HasPrefix(got, "250 ") {
		t.Errorf("a text in an archive: %q", got)
	}
	if got := w.said(t, zipped(t, "zeros", make([]byte, 64<<20))); !strings.HasPrefix(got, "550 5.7.1 Message refused: an attachment is too deeply packed or unpacks to too much to be scanned: zeros (ratio)") {
		t.Errorf("a bomb: %q", got)
	}

	noise := make([]byte, 12<<20) // what takes a while to be sent and read
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(noise)
	heavy := zipped(t, "noise.txt", noise)
	killed, stop := w.killChildren()
	got := ""
	for range 20 { // a process may be done before it is found
		if got = w.said(t, heavy); !strings.HasPrefix(got, "250 ") {
			break
		}
	}
	stop()
	if !strings.HasPrefix(got, "451 4.7.1 ") || !strings.Contains(got, "cannot be") || killed.Load() == 0 {
		t.Errorf("with %d processes killed: %q", killed.Load(), got)
	}
	if got := w.said(t, heavy); !strings.HasPrefix(got, "250 ") {
		t.Errorf("afterwards: %q", got)
	}
}
