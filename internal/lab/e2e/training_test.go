package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// school is a daemon whose spamd and rspamd learn.
type school struct {
	*world
	spamd  *lab.Spamd
	rspamd *lab.Rspamd
	learns *lab.Redis // where rspamd keeps what it learned
}

// offer is a message that spamd gives enough points for the quarantine.
func (s *school) offer(t *testing.T, n int) (ref string) {
	t.Helper()
	c := s.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("354", "DATA")
	c.send(fmt.Sprintf("From: alice@example.org\r\nTo: bob@served.test\r\nSubject: offer %d\r\nDate: %s\r\nMessage-ID: <offer%d@example.org>\r\n\r\n"+
		"cheap pills casino lottery winner prize claim urgent transfer million dollars, number %d\r\n.\r\n", n, time.Now().Format(time.RFC1123Z), n, n))
	ref = spoolRef(t, c.reply())
	c.want("221", "QUIT")
	return ref
}

// learned waits until both engines know so many messages, as each of them says itself.
func (s *school) learned(t *testing.T, want lab.Lessons) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(clientTime); ; time.Sleep(100 * time.Millisecond) {
		sa, err := s.spamd.Learned(t.Context())
		rs, fault := s.learns.Learned()
		if err == nil && fault == nil && sa == want && rs == want {
			return
		}
		if last = fmt.Sprintf("spamd %+v, %v; rspamd %+v, %v", sa, err, rs, fault); time.Now().After(deadline) {
			t.Fatalf("they know %s, want %+v", last, want)
		}
	}
}

// shows waits until gatepost quarantine show says how a message was learned.
func (s *school) shows(t *testing.T, ref, word string, words ...string) {
	t.Helper()
	s.awaitCommand(t, word, "quarantine", "show", ref)
	out, _ := s.command(t, 0, "quarantine", "show", ref)
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

// TestTraining has a real spamd and a real rspamd learn through the daemon: what is released is ham, what is reported as spam is
// spam, as each engine says itself. A spamd that hangs delays no release; what it was to learn waits, over a kill -9 of the
// daemon, too, and is learned once.
func TestTraining(t *testing.T) {
	t.Parallel()
	s := &school{}
	s.spamd = labtest.Spamd(t, lab.SpamdOptions{Learns: true, Settings: []string{"body LAB_OFFER /cheap pills/", "score LAB_OFFER 9"}})
	s.learns = labtest.Redis(t, lab.RedisOptions{})
	s.rspamd = labtest.Rspamd(t, lab.RspamdOptions{Redis: s.learns.Addr})
	password := filepath.Join(labtest.Dir(t), "rspamd.password") // outside of the folders that the daemon writes
	if err := os.WriteFile(password, []byte(lab.RspamdPassword+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.world = begin(t, setup{spamd: s.spamd.Addr, policy: noGreylist + "[training]\nspamassassin = true\nrspamd = true\n",
		bootstrap: fmt.Sprintf("[rspamd]\naddresses = [%q]\ncontroller = %q\npassword_file = %q\n", s.rspamd.Addr, s.rspamd.Controller, password)})
	var refs [4]string
	for i := range refs {
		refs[i] = s.offer(t, i)
	}
	good, bad, waiting, killed := refs[0], refs[1], refs[2], refs[3]

	s.command(t, 0, "quarantine", "release", good)
	if out, _ := s.command(t, 0, "quarantine", "report", bad, "--as", "spam"); !strings.Contains(out, "noted; the engines will be told") {
		t.Errorf("reported: %s", out)
	}
	s.shows(t, good, "Learned ", "as ham, ", "spamassassin: learned; rspamd: learned")
	s.shows(t, bad, "Learned ", "as spam, ")
	s.learned(t, lab.Lessons{Spam: 1, Ham: 1})
	s.awaitCommand(t, "learned", "trace", good)
	s.awaitLine(t, "kind=quarantine_learned", "id="+bad)
	if out, _ := s.command(t, 0, "quarantine", "report", bad, "--as", "spam"); !strings.Contains(out, "it was learned before") {
		t.Errorf("again: %s", out)
	}

	if err := s.spamd.Pause(); err != nil {
		t.Fatal(err)
	}
	s.command(t, 0, "quarantine", "release", waiting)
	if n := len(s.hop(t).Accepted()); n != 2 {
		t.Errorf("%d arrived while spamd hung", n)
	}
	s.shows(t, waiting, "To learn ", "as ham")
	s.command(t, 0, "quarantine", "release", killed)
	s.shows(t, killed, "To learn ", "as ham")
	if err := s.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.spamd.Resume(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	for _, ref := range []string{waiting, killed} {
		s.shows(t, ref, "Learned ", "as ham, ", "spamassassin: ")
		s.awaitLine(t, "kind=quarantine_learned", "id="+ref)
	}
	s.learned(t, lab.Lessons{Spam: 1, Ham: 3})
}
