package accept_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// times is how often each row is played; scripts/soak plays them more often.
var times = flag.Int("matrix-times", 2, "how often each row of TestMatrix is played")

// The steps at which the process is killed, in the order of a message's life.
const (
	afterMail    = "MAIL came"
	afterRcpt    = "RCPT came"
	inData       = "in the middle of DATA"
	afterDot     = "the dot came, and it is being checked"
	claimed      = "the ledger was asked"
	afterHopRcpt = "the next hop took its RCPT"
	inHopBody    = "in the body to the next hop"
	beforeHopDot = "before the dot to the next hop"
	afterHopDot  = "the dot was sent, and the next hop's 250 is not read"
	afterHop250  = "the next hop's 250 is read"
	beforeSpool  = "before the spool"
	afterSpool   = "the spool has it on disk"
	beforeLedger = "before the ledger is written"
	afterLedger  = "the ledger is written"
	beforeOurs   = "before our 250"
	heardOurs    = "our 250 was said and heard"
	ofSpool      = "spool: " // before those of the hop, while the spool delivers
)

// row is one fault, and how many copies the next hop has at the end.
type row struct {
	step   string
	copies int
	hop    func(*lab.NextHop) // lets it misbehave, once
	leaves bool               // the sender hangs up before our 250 instead
	final  time.Duration
}

// kills reports whether the process is killed, and not only the next hop or the sender at fault.
func (r *row) kills() bool { return r.hop == nil && !r.leaves || r.step == afterHopDot }

// later reports whether that is while the spool delivers.
func (r *row) later() bool { return strings.HasPrefix(r.step, ofSpool) }

// through are the rows in which the next hop is there. Two copies are where only the next hop could know of the first
// (RFC 1047).
func through() []row {
	dot := func(actions ...lab.Action) func(*lab.NextHop) {
		return func(h *lab.NextHop) { h.On("DOT", append(actions, lab.Action{})...) }
	}
	return []row{
		{step: afterMail, copies: 1}, {step: afterRcpt, copies: 1}, {step: inData, copies: 1}, {step: afterDot, copies: 1},
		{step: claimed, copies: 1}, {step: afterHopRcpt, copies: 1}, {step: inHopBody, copies: 1}, {step: beforeHopDot, copies: 1},
		{step: afterHopDot, copies: 2, hop: dot(lab.Action{Bytes: []byte("250"), Then: lab.Hang})},
		{step: afterHop250, copies: 2}, {step: beforeLedger, copies: 2}, {step: afterLedger, copies: 1}, {step: beforeOurs, copies: 1},
		{step: heardOurs, copies: 1},
		{step: "the sender hangs up before our 250", copies: 1, leaves: true},
		{step: "the next hop says 451 after the dot", copies: 1, hop: dot(lab.Reply("451 4.3.0 later"))},
		{step: "the next hop closes in the body", copies: 1, hop: func(h *lab.NextHop) {
			h.On("BODY", lab.Action{After: 100, Bytes: []byte{}, Then: lab.Close}, lab.Action{})
		}},
		{step: "the next hop closes in place of an answer", copies: 1, hop: dot(lab.Gone())},
		{step: "the next hop takes it, and closes", copies: 2, hop: dot(lab.Action{Bytes: []byte("250"), Then: lab.Close})},
		{step: "the next hop takes it, and answers when our time is over", copies: 1, final: 300 * time.Millisecond, hop: dot(lab.Action{Delay: 900 * time.Millisecond})},
	}
}

// spooled are the rows in which the next hop is away, and back when the sender has its 250.
func spooled() []row {
	return []row{
		{step: afterMail, copies: 1}, {step: afterRcpt, copies: 1}, {step: inData, copies: 1}, {step: afterDot, copies: 1}, {step: claimed, copies: 1},
		{step: beforeSpool, copies: 1}, {step: afterSpool, copies: 1}, {step: beforeLedger, copies: 1}, {step: afterLedger, copies: 1}, {step: beforeOurs, copies: 1},
		{step: heardOurs, copies: 1},
		{step: "the sender hangs up before our 250", copies: 1, leaves: true},
		{step: ofSpool + afterHopRcpt, copies: 1}, {step: ofSpool + inHopBody, copies: 1}, {step: ofSpool + beforeHopDot, copies: 1},
		{step: ofSpool + afterHop250, copies: 2},
	}
}

// TestMatrix is the failure matrix: the process is really killed at each step, or the next hop or the sender fail there; the
// sender comes again with the same octets until it hears 250. Nothing may be lost or cut, and come twice only what nobody here
// can know of.
func TestMatrix(t *testing.T) {
	for _, mode := range []struct {
		name  string
		rows  []row
		spool bool
	}{{"through", through(), false}, {"spool", spooled(), true}} {
		for _, r := range mode.rows {
			t.Run(mode.name+"/"+r.step, func(t *testing.T) {
				t.Parallel()
				for range *times {
					play(t, &r, mode.spool)
				}
			})
		}
	}
}

// stage is one playing of a row.
type stage struct {
	t    *testing.T
	job  job
	hop  *lab.NextHop
	proc *exec.Cmd
	addr string
	log  bytes.Buffer

	killed bool // at its step
}

func play(t *testing.T, r *row, spool bool) {
	s := &stage{t: t, hop: labtest.NextHop(t, lab.NextHopOptions{})}
	s.job = job{Dir: t.TempDir(), Hop: s.hop.Addr(), Spool: spool, Final: r.final, Step: r.step}
	if spool {
		s.hop.On("CONNECT", lab.Gone())
	}
	if r.hop != nil {
		r.hop(s.hop)
	}
	s.start()
	defer s.kill()
	if r.step == afterHopDot {
		go func() { // the kill that only the next hop knows the time of
			_, _ = s.hop.AwaitAccepted(t.Context(), 1)
			_ = s.proc.Process.Kill()
		}()
	}
	heard := false
	for attempt := 0; !heard; attempt++ {
		if attempt == 6 {
			t.Fatalf("no 250 in %d attempts\n%s", attempt, &s.log)
		}
		heard = s.send(r.leaves && attempt == 0)
		if r.leaves && attempt == 0 && !spool {
			if _, err := s.hop.AwaitAccepted(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		if !heard && r.kills() && !r.later() && s.job.Step != "" {
			s.again()
		}
	}
	if r.step == heardOurs {
		s.again()
	}
	if spool {
		s.drain(r)
	}
	s.judge(r)
}

// again waits for the end of the process, and starts one that is killed nowhere.
func (s *stage) again() {
	s.wait()
	s.job.Step = ""
	s.start()
}

// wait waits for the process to be killed.
func (s *stage) wait() {
	late := time.AfterFunc(time.Minute, func() { _ = s.proc.Process.Signal(syscall.SIGQUIT) }) // it is not, and tells what it does
	defer late.Stop()
	_ = s.proc.Wait()
	status, ok := s.proc.ProcessState.Sys().(syscall.WaitStatus)
	s.killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// drain lets the next hop be there, and waits until the spool is empty. A process that is to be killed meanwhile is started
// again.
func (s *stage) drain(r *row) {
	s.hop.On("CONNECT")
	s.kill() // a next hop that was away rests; a new process asks it at once
	s.start()
	if r.later() {
		s.again()
	}
	for ctx := labtest.Context(s.t); s.inSpool() > 0; time.Sleep(20 * time.Millisecond) {
		if ctx.Err() != nil {
			s.t.Fatalf("%d messages are left in the spool\n%s", s.inSpool(), &s.log)
		}
	}
}

func (s *stage) inSpool() (n int) {
	_ = filepath.WalkDir(filepath.Join(s.job.Dir, "spool"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".msg") {
			n++
		}
		return nil
	})
	return n
}

// judge counts the copies.
func (s *stage) judge(r *row) {
	if s.killed != r.kills() {
		s.t.Errorf("killed: %v, want %v", s.killed, r.kills())
	}
	got := s.hop.Accepted()
	for i := range got {
		if !bytes.HasSuffix(got[i].Body, []byte(mail)) || !got[i].Complete {
			s.t.Errorf("copy %d is not the message: %d octets", i+1, len(got[i].Body))
		}
	}
	if len(got) != r.copies {
		s.t.Errorf("%d copies, want %d\n%s", len(got), r.copies, &s.log)
	}
}

// start runs the gateway in a process of its own.
func (s *stage) start() {
	s.t.Helper()
	text, err := json.Marshal(s.job)
	if err != nil {
		s.t.Fatal(err)
	}
	s.proc = exec.Command(os.Args[0])
	s.proc.Env = append(os.Environ(), childEnv+"="+string(text))
	s.proc.Stderr = &s.log
	out, err := s.proc.StdoutPipe()
	if err == nil {
		err = s.proc.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !strings.HasPrefix(s.job.Step, ofSpool) { // that one may be killed before a word
		s.t.Fatalf("%v\n%s", err, &s.log)
	}
	s.addr = strings.TrimSpace(line)
}

func (s *stage) kill() {
	_ = s.proc.Process.Kill()
	_ = s.proc.Wait()
}

// mail is the message: it does not fit into one write.
var mail = "From: a@sender.example\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\nSubject: matrix\r\n\r\n" +
	strings.Repeat("..all work and no play makes it a dull message\r\n", 400) + "the end\r\n"

// send makes one attempt and reports whether the sender heard 250 after the dot. It says QUIT then.
func (s *stage) send(leaves bool) bool {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, &s.log)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(90 * time.Second))
	in := bufio.NewReader(conn)
	reply := func() string {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return ""
			}
			if len(line) > 3 && line[3] == ' ' {
				return line[:3]
			}
		}
	}
	say := func(text, want string) bool {
		if _, err := fmt.Fprint(conn, text); err != nil {
			return false
		}
		return reply() == want
	}
	if reply() != "220" || !say("EHLO client.example\r\n", "250") || !say("MAIL FROM:<a@sender.example>\r\n", "250") ||
		!say("RCPT TO:<user@example.org>\r\n", "250") || !say("DATA\r\n", "354") {
		return false
	}
	text := strings.ReplaceAll(mail, "\r\n.", "\r\n..") + ".\r\n"
	if leaves {
		fmt.Fprint(conn, text)
		return false
	}
	if !say(text, "250") {
		return false
	}
	say("QUIT\r\n", "221")
	return true
}
