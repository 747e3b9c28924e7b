package filters

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/addrpool"
	"gatepost/internal/clamd"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/lab/mails"
	"gatepost/internal/lab/packing"
)

// clamAVAt is a pool of one clamd, as the program makes it.
func clamAVAt(t testing.TB, address string, maxSize int64, timeout time.Duration) *addrpool.Pool[*clamd.Client] {
	t.Helper()
	p, err := addrpool.New(addrpool.Config[*clamd.Client]{Addresses: []string{address},
		Open: func(a string) (*clamd.Client, error) {
			return clamd.New(clamd.Config{Address: a, MaxSize: maxSize, Timeout: timeout})
		},
		Repeatable: clamd.Repeatable, Blames: clamd.Blames, Distrusts: clamd.Distrusts, TripAfter: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judge runs the Data stage over a message and returns what came of it, and the finding of a check.
func judge(t testing.TB, d *Deps, pl *gateway.Pipeline, e *gateway.Envelope, check string) (gateway.Verdict, gateway.Finding) {
	t.Helper()
	s := from("192.0.2.1", "good.example")
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	v := pl.Run(labtest.Context(t), gateway.Data, input(s, e))
	for _, f := range e.Findings {
		if f.Check == check {
			return v, f
		}
	}
	t.Fatalf("no finding of %s in %v", check, e.Findings)
	return v, gateway.Finding{}
}

const spamOff = "[checks.spamassassin]\naction = \"off\"\n"

func TestClamAV(t *testing.T) {
	const found, tooDeep = "stream: %s FOUND\x00", "Heuristics.Limits.Exceeded.MaxRecursion"
	sign := func(name string) []lab.Action { return []lab.Action{lab.Raw(strings.Replace(found, "%s", name, 1))} }
	for name, c := range map[string]struct {
		answer  []lab.Action
		body    []lab.Action
		result  gateway.Result
		reason  gateway.Reason
		outcome gateway.Outcome
		reply   string
		line    string
	}{
		"clean":             {result: gateway.Pass, outcome: gateway.Accept},
		"official":          {answer: sign("Win.Trojan.Agent-1"), result: gateway.Fail, reason: gateway.MalwareFound, outcome: gateway.Reject, reply: "550 5.7.1 Message refused: malware was found in it (Win.Trojan.Agent-1)", line: "checks.clamav.action"},
		"unofficial":        {answer: sign("Some.List-7.UNOFFICIAL"), result: gateway.Fail, reason: gateway.MalwareDoubtful, outcome: gateway.Quarantine, line: "checks.clamav.reasons.malware.doubtful"},
		"heuristic":         {answer: sign("Heuristics.Phishing.Email.SpoofedDomain"), result: gateway.Fail, reason: gateway.MalwareDoubtful, outcome: gateway.Quarantine},
		"encrypted":         {answer: sign("Heuristics.Encrypted.Zip"), result: gateway.Fail, reason: gateway.MalwareDoubtful, outcome: gateway.Quarantine},
		"unwanted":          {answer: sign("PUA.Win.Packer-1"), result: gateway.Fail, reason: gateway.MalwareDoubtful, outcome: gateway.Quarantine},
		"EICAR, official":   {answer: sign("Eicar-Signature"), result: gateway.Fail, reason: gateway.MalwareFound, outcome: gateway.Reject, reply: "550 5.7.1 ", line: "checks.clamav.refuse"},
		"EICAR, unofficial": {answer: sign("Eicar-Test-Signature.UNOFFICIAL"), result: gateway.Fail, reason: gateway.MalwareDoubtful, outcome: gateway.Reject, reply: "550 5.7.1 ", line: "checks.clamav.refuse"},
		"limit":             {answer: sign(tooDeep), result: gateway.Fail, reason: gateway.MalwareLimits, outcome: gateway.Quarantine, line: "checks.clamav.reasons.malware.limits"},
		"stream too big":    {answer: []lab.Action{lab.Raw("INSTREAM size limit exceeded. ERROR\x00")}, result: gateway.Unknown, reason: gateway.TooBigToScan, outcome: gateway.Defer, reply: "452 4.3.4 Message too big to be scanned: at most less than "},
		"error":             {answer: []lab.Action{lab.Raw("stream: Can't allocate memory ERROR\x00")}, result: gateway.Unknown, reason: gateway.ScannerFailed, outcome: gateway.Defer, reply: "451 4.7.1 "},
		"garbage":           {answer: []lab.Action{lab.Raw("stream: OK, I think\x00")}, result: gateway.Unknown, reason: gateway.ScannerFailed, outcome: gateway.Defer, reply: "451 4.7.1 "},
		"two answers":       {answer: []lab.Action{lab.Raw("stream: OK\x00stream: X FOUND\x00")}, result: gateway.Unknown, reason: gateway.ScannerFailed, outcome: gateway.Defer, reply: "451 4.7.1 "},
		"half an answer":    {answer: []lab.Action{lab.ReplyThenClose("stream: O")}, result: gateway.Unknown, reason: gateway.ScannerFailed, outcome: gateway.Defer, reply: "451 4.7.1 "},
		"silence":           {answer: []lab.Action{lab.Silence()}, result: gateway.Unknown, reason: gateway.ScannerFailed, outcome: gateway.Defer, reply: "451 4.7.1 "},
		"gone at once":      {body: []lab.Action{lab.Gone()}, result: gateway.Unknown, reason: gateway.ScannerFailed, outcome: gateway.Defer, reply: "451 4.7.1 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := labtest.FakeClamd(t, 1<<20)
			fake.On("INSTREAM", c.answer...)
			fake.On("BODY", c.body...)
			d := &Deps{ClamAV: clamAVAt(t, fake.Addr(), 0, time.Second)}
			pl := build(t, spamOff, d)
			v, f := judge(t, d, pl, dataOf(t, with("")), "clamav")
			if f.Result != c.result || f.Reason != c.reason || v.Outcome != c.outcome || !strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != v.Reply.IsZero() {
				t.Errorf("%s %s, %s, %s, %v", f.Result, f.Reason, v.Outcome, v.Reply, f.Evidence)
			}
			if !strings.HasPrefix(v.Line, c.line) {
				t.Errorf("decided by %q, want %s", v.Line, c.line)
			}
			if scanner := evidence(f, gateway.EvidenceScanner); (scanner != "") != (c.result != gateway.Unknown) {
				t.Errorf("scanned by %q", scanner)
			}
			if c.result == gateway.Unknown && evidence(f, "error") == "" {
				t.Error("the trace does not show what went wrong")
			}
		})
	}
}

func TestClamAVSendsAll(t *testing.T) {
	fake := labtest.FakeClamd(t, 1<<20)
	d := &Deps{ClamAV: clamAVAt(t, fake.Addr(), 0, 10*time.Second)}
	pl := build(t, spamOff, d)
	text := with("") + strings.Repeat("0123456789abcdef\r\n", 20_000)
	if v, f := judge(t, d, pl, dataOf(t, text), "clamav"); f.Result != gateway.Pass || v.Outcome != gateway.Accept {
		t.Fatalf("%s %s", f.Result, v.Outcome)
	}
	if got := fake.Scanned(); len(got) != 1 || !bytes.Equal(got[0], []byte(text)) {
		t.Errorf("clamd got %d streams, not the message as it came", len(got))
	}
}

// TestClamAVLimits shows that the sender is told a limit that is true: one from an old probe that fits no more is not.
func TestClamAVLimits(t *testing.T) {
	fake := labtest.FakeClamd(t, 1<<20)
	for limit, want := range map[int64]string{0: "at most less than ", 100: "at most 100 octets", 1 << 20: "at most less than "} {
		d := &Deps{ClamAV: clamAVAt(t, fake.Addr(), 100, time.Second), ScanLimit: func() int64 { return limit }}
		pl := build(t, spamOff, d)
		v, f := judge(t, d, pl, dataOf(t, with("", "X: "+strings.Repeat("y", 100))), "clamav")
		if f.Reason != gateway.TooBigToScan || !strings.Contains(v.Reply.String(), want) {
			t.Errorf("probed %d: %s %s", limit, f.Reason, v.Reply)
		}
	}
}

// TestClamAVPolicies shows what the operator can choose, and that a dead clamd never lets a message through unmarked.
func TestClamAVPolicies(t *testing.T) {
	for _, c := range []struct {
		policy  string
		outcome gateway.Outcome
		mark    string
	}{
		{"", gateway.Defer, ""},
		{"unknown = \"tag\"", gateway.Tag, "clamav"},
		{"unknown = \"pass\"", gateway.Accept, "clamav"},
		{"unknown = \"reject\"", gateway.Reject, ""},
	} {
		d := &Deps{}
		pl := build(t, spamOff+"[checks.clamav]\n"+c.policy+"\n", d)
		v, f := judge(t, d, pl, dataOf(t, with("")), "clamav")
		if f.Result != gateway.Unknown || v.Outcome != c.outcome || strings.Join(v.Marks, "") != c.mark {
			t.Errorf("%q: %s, %s, marks %v", c.policy, f.Result, v.Outcome, v.Marks)
		}
	}
	if _, problems := load(t, "[checks.clamav]\nrefuse = [\"Eicar[\"]\n"); !problems.Refused() || !strings.Contains(problems.Error(), "no pattern") {
		t.Errorf("a broken pattern: %v", problems)
	}
	fake := labtest.FakeClamd(t, 1<<20)
	fake.On("INSTREAM", lab.Raw("stream: Some.List-7.UNOFFICIAL FOUND\x00"))
	for policy, want := range map[string]gateway.Outcome{
		"refuse = [\"Some.*\"]": gateway.Reject,
		"refuse = []\n[checks.clamav.reasons]\n\"malware.doubtful\" = \"tag\"": gateway.Tag,
	} {
		d := &Deps{ClamAV: clamAVAt(t, fake.Addr(), 0, 10*time.Second)}
		pl := build(t, spamOff+"[checks.clamav]\n"+policy+"\n", d)
		if v, _ := judge(t, d, pl, dataOf(t, with("")), "clamav"); v.Outcome != want {
			t.Errorf("%s: %s, want %s", policy, v.Outcome, want)
		}
	}
}

// TestClamAVUnseen: what ClamAV may have read otherwise than a mail client, or cannot open, is shown to it apart: once, and only
// where there is something. What it says of that counts.
func TestClamAVUnseen(t *testing.T) {
	mail := func(fields, content string) string {
		return with("", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b") + "--b\r\n" + fields + "\r\n" + content + "\r\n--b--\r\n"
	}
	quoted := ""
	for _, c := range []byte(lab.EICAR()) {
		quoted += fmt.Sprintf("=%02X", c)
	}
	archived := func(b []byte) string {
		return mail("Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n", base64.StdEncoding.EncodeToString(b))
	}
	for name, c := range map[string]struct {
		message string
		asked   int
		result  gateway.Result
	}{
		"nothing odd":         {mail("Content-Type: application/x-foo; name=a.foo\r\n", quoted), 1, gateway.Pass},
		"two encodings":       {mail("Content-Type: application/x-foo; name=a.foo\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: quoted-printable\r\n", quoted), 2, gateway.Fail},
		"a clean one":         {mail("Content-Type: application/x-foo; name=a.foo\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: quoted-printable\r\n", quoted[3:]), 2, gateway.Pass},
		"odd, but no file":    {mail("Content-Type: text/plain\r\nContent-Transfer-Encoding: x-none\r\n", "hello"), 1, gateway.Pass},
		"it opens this":       {archived(mails.Zip("a.txt", []byte(lab.EICAR()))), 1, gateway.Pass},
		"it cannot open this": {archived(packing.RAR("a.txt", []byte(lab.EICAR()))), 2, gateway.Fail},
		"nothing is in it":    {archived(packing.RAR("a.txt", []byte("hello"))), 2, gateway.Pass},
		"two faces":           {archived(append([]byte("GIF89a"), mails.Zip("a.txt", []byte(lab.EICAR()))...)), 2, gateway.Fail},
	} {
		clam := labtest.FakeClamd(t, 0)
		d := &Deps{ClamAV: clamAVAt(t, clam.Addr(), 0, 10*time.Second), Unpack: &here{}}
		_, f := judge(t, d, build(t, spamOff, d), dataOf(t, c.message), "clamav")
		if n := len(clam.Scanned()); n != c.asked || f.Result != c.result {
			t.Errorf("%s: %d questions, %v %s; %v", name, n, f.Result, f.Reason, f.Evidence)
		}
	}
}

// TestTarred: the contents that are shown at once are a tar file that others read, of the size that is told.
func TestTarred(t *testing.T) {
	want := []string{"one", "", strings.Repeat("x", 512), strings.Repeat("y", 1025)}
	var all []unseen
	for _, s := range want {
		all = append(all, unseen{open: func() io.Reader { return strings.NewReader(s) }, size: int64(len(s))})
	}
	b, err := io.ReadAll(tarred(all))
	if err != nil || int64(len(b)) != tarredSize(all) {
		t.Fatalf("%d octets, not %d, %v", len(b), tarredSize(all), err)
	}
	r := tar.NewReader(bytes.NewReader(b))
	for i := range want {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want[i] {
			t.Errorf("%d: %.20q, %v", i, got, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the last: %v", err)
	}
}
