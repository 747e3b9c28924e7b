package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is each of a run's child processes too, as the program is.
func TestMain(m *testing.M) {
	var p plan
	if p.parse(os.Args[1:], io.Discard) != nil || p.role == (role{}) {
		m.Run()
		return
	}
	if err := p.role.serve(os.Stdin, os.Stdout); err != nil {
		panic(err)
	}
}

// TestRun measures the daemon itself and its peers, shortly: every message must arrive.
func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bench.json")
	var p plan
	args := []string{"-sizes", "10K,1M", "-connections", "2", "-rounds", "2", "-count", "30", "-length", "30s", "-per-session", "7", "-pipeline", "-json", file,
		"-peers", "pipe,postfix-proxy"}
	if err := p.parse(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := run(t.Context(), p, &table); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Cells) != 2 || len(r.Cells[0].Trials) != 4 {
		t.Fatalf("cells: %+v", r.Cells)
	}
	for _, c := range r.Cells {
		for i, name := range []string{"direct", "pipe", "postfix-proxy", "gatepost"} {
			tr := c.Trials[i]
			if tr.Name != name || len(tr.Rounds) != 2 || tr.Rounds[0].Messages != 30 || tr.Median.Rate <= 0 || tr.Ratio <= 0 || tr.Median.RSS <= 0 {
				t.Errorf("%d octets, %s: %+v", c.Size, name, tr)
			}
		}
		if c.Trials[0].Ratio != 1 {
			t.Errorf("the ratio of the first target to itself is %v", c.Trials[0].Ratio)
		}
	}
	for _, want := range []string{"| 10K | 2 | direct |", "| 1M | 2 | gatepost |"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &table)
		}
	}
}

// TestSections measures everything that is no rate, shortly.
func TestSections(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	page := filepath.Join(dir, "performance.md")
	if err := os.WriteFile(page, []byte(beginMark+endMark), 0o644); err != nil {
		t.Fatal(err)
	}
	var p plan
	args := []string{"-quick", "-rounds", "1", "-length", "100ms", "-idle", "100", "-peers", "postfix-proxy", "-sections", "log,paced,idle,tls,storm,memory,boot,spool", "-queued", "100", "-write", "-docs", dir}
	if err := p.parse(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), p, &out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 10K | 10 | gatepost without the log |", "| postfix-proxy, the same load |", "| gatepost, half of its own most |",
		"| 100 | STARTTLS, EHLO | gatepost |", "| gatepost | RCPT |", "| resumed | gatepost |", "| full | smtpd |", "TLS 1.3 X25519MLKEM768", "| gatepost | connect |", "| postscreen | connect |", "521 5.3.2", "| start to the banner | at most 100 ms |",
		"| postfix-hold | 50 |", "| gatepost | 50 |", "memory of a message in the spool (100 of them)", "| 100 | "} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s\n%s", want, b, &out)
		}
	}
}

// TestLists measures clients on lists, shortly: Gatepost refuses all of them, also where the answers are late.
func TestLists(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bench.json")
	var p plan
	if err := p.parse([]string{"-quick", "-rounds", "1", "-length", "100ms", "-peers", "postfix-proxy", "-sections", "lists", "-json", file}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), p, io.Discard); err != nil {
		t.Fatal(err)
	}
	r, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	var who []string
	for _, l := range r.Lists {
		who = append(who, l.Name+": "+l.Who)
		if l.Sessions < 100 || l.Median.Rate <= 0 || l.Sessions != l.Refused+l.Deferred+l.LetIn || l.Name == "gatepost" && l.LetIn > 0 {
			t.Errorf("%+v", l)
		}
	}
	want := []string{"gatepost: known, on all lists", "postscreen: known, on all lists", "smtpd: known, on all lists", "gatepost: new, answers 2.5 s late"}
	if !slices.Equal(who, want) {
		t.Errorf("measured %q, want %q", who, want)
	}
}

// TestRunFails shows that a gateway that does not start is an error, and told.
func TestRunFails(t *testing.T) {
	var p plan
	if err := p.parse([]string{"-gatepost", "/bin/false"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), p, io.Discard); err == nil || !strings.Contains(err.Error(), "gatepost: not ready") {
		t.Errorf("error %v", err)
	}
}

// TestParse shows what the command line means.
func TestParse(t *testing.T) {
	var p plan
	if err := p.parse([]string{"--quick", "-sizes", "1,10K,3M", "-gatepost", "old=/a", "-gatepost", "/b"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	want := plan{sections: words{gridSection}, sizes: list{1, 10 << 10, 3 << 20}, connections: list{10}, idle: list{5000}, rounds: 3, perSession: 20, queued: 2000,
		length: 300 * time.Millisecond, quick: true, folder: "docs", limit: 40 * time.Minute, binaries: binaries{{"old", "/a"}, {"gatepost", "/b"}}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	for _, args := range []string{"x", "-sizes 0", "-sizes 1G", "-sizes 1025M", "-sizes 1KK", "-sizes 1,", "-rounds 0", "-length 0s", "-count -1",
		"-gatepost =x", "-sections x", "-sections grid,grid", "-peers haraka", "-quick -full", "-gatepost a= ", "-gatepost /a -gatepost /b", "-per-session 0", "-nonsense"} {
		var p plan
		if err := p.parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q is no error: %+v", args, p)
		}
	}
}

// TestParseProc shows what is read from /proc.
func TestParseProc(t *testing.T) {
	s, err := parseStat("7 (a) R b) S 1 6 7 0 -1 4194560 1 0 0 0 250 50 9 1 20 0 8 0 100 1000000 512 184467", 4096)
	if want := (stat{6, 3 * time.Second, 100 * time.Millisecond, 2 << 20}); err != nil || s != want {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	for _, line := range []string{"", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 x 50 9 9 20 0 8 0 100 1000000 512 184467"} {
		if _, err := parseStat(line, 4096); err == nil {
			t.Errorf("%q is no error", line)
		}
	}
	busy, err := parseBusy("cpu  100 20 30 4000 5 6 7 8 9\ncpu0 1 2 3 4\n")
	if err != nil || busy != 1630*time.Millisecond {
		t.Errorf("%v, %v; want 1.63s", busy, err)
	}
	for _, text := range []string{"", "cpu 1 2", "cpu a b c d e f g", "intr 1 2 3 4"} {
		if _, err := parseBusy(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

// TestUsage shows what is read of real processes: one, a group with a child that has ended, and none.
func TestUsage(t *testing.T) {
	if u, err := (part{pid: os.Getpid()}).usage(); err != nil || u.RSS <= 0 {
		t.Errorf("this process: %+v, %v", u, err)
	}
	// The child of the shell counts, which takes it some ticks, and is waited for.
	cmd := exec.Command("/bin/sh", "-c", `(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); echo done; read -r _`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	one, err1 := part{pid: cmd.Process.Pid}.usage()
	all, err2 := part{pid: cmd.Process.Pid, group: true}.usage()
	if err := errors.Join(err1, err2); err != nil || all.CPU <= one.CPU || all.RSS < one.RSS {
		t.Errorf("the shell %+v, with its child %+v, %v", one, all, err)
	}
	for _, p := range []part{{pid: 1 << 30}, {pid: 1 << 30, group: true}} {
		if _, err := p.usage(); err == nil {
			t.Errorf("%+v is not there and has a usage", p)
		}
	}
}

// TestSummarise shows medians, and ratios round by round.
func TestSummarise(t *testing.T) {
	rounds := func(rates ...float64) (out []sample) {
		for _, r := range rates {
			out = append(out, sample{Rate: r, CPU: 2 * r, Messages: int64(r)})
		}
		return out
	}
	base := rounds(100, 50, 200)
	tr := trial{Rounds: rounds(50, 40, 80)}
	tr.summarise(base)
	// The ratios are 0.5, 0.8 and 0.4: the median of the ratios, not the ratio of the medians.
	if tr.Ratio != 0.5 || tr.Median.Rate != 50 || tr.Median.CPU != 100 || tr.Spread != 0.8 {
		t.Errorf("%+v", tr)
	}
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v", c.values, got)
		}
	}
}
