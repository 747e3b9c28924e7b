package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rounds makes a trial of rates and CPU times.
func trialOf(name string, base []sample, cpu float64, rates ...float64) trial {
	t := trial{Name: name}
	for _, r := range rates {
		t.Rounds = append(t.Rounds, sample{Rate: r, CPU: cpu, P99: 5, RSS: 40, Messages: int64(r)})
	}
	if base == nil {
		base = t.Rounds
	}
	t.summarise(base)
	return t
}

// sampleReport is a run in which some targets are met, some missed, and some not measured.
func sampleReport() report {
	direct := trialOf("direct", nil, 40, 1000, 2000, 1000)
	r := report{Programs: words{"old", "gatepost"}, Rounds: 3, Length: "1s", Machine: machine{CPU: "a processor", CPUs: 2, Began: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)}}
	for _, size := range []int{10 << 10, 1 << 20} {
		for _, connections := range []int{10, 50} {
			c := cell{Size: size, Connections: connections, Trials: []trial{direct, trialOf(pipePeer, direct.Rounds, 60, 500, 500, 500),
				trialOf(postfixPeer, direct.Rounds, 400, 100, 100, 100), trialOf("old", direct.Rounds, 500, 200, 200, 200),
				trialOf("gatepost", direct.Rounds, 200, 550, 1000, 600)}}
			r.Cells = append(r.Cells, c)
		}
	}
	r.Log.Cells = []cell{{Size: 10 << 10, Connections: 10, Trials: []trial{direct, trialOf("gatepost", direct.Rounds, 200, 1, 1, 1), trialOf("gatepost"+withoutLog, direct.Rounds, 160, 1, 1, 1)}}}
	r.Log.Events = []eventCount{{Name: "gatepost", Offered: 3000, Rate: 2990, Messages: 15000, Lost: 2}}
	r.Paced = []pacedResult{{Name: postfixPeer, Load: sameLoad, Offered: 80, Median: sample{P99: 30}}, {Name: "gatepost", Load: sameLoad, Offered: 80, Median: sample{P99: 29}},
		{Name: "gatepost", Load: ownHalf, Offered: 300, Median: sample{P99: 20.5}}}
	r.Idle = []idleResult{{Name: "gatepost", Connections: 5000, Each: 11}, {Name: "gatepost", Connections: 5000, TLS: true, Each: 33}}
	r.TLS = []tlsResult{{Name: "gatepost", Kind: inClear, Median: tlsSample{CPU: 80}}, {Name: "gatepost", Kind: fullShake, Median: tlsSample{CPU: 300}},
		{Name: smtpdPeer, Kind: inClear, Median: tlsSample{CPU: 250}}, {Name: smtpdPeer, Kind: fullShake, Median: tlsSample{CPU: 900}}}
	r.Storm = []stormResult{{Name: "gatepost", At: atRcpt, Median: stormSample{CPU: 10}}, {Name: "gatepost", At: atConnect, Reply: "554 5.7.1 no", Median: stormSample{CPU: 122}},
		{Name: postscreen, At: atConnect, Median: stormSample{CPU: 46}}}
	r.Lists = []listResult{{Name: "gatepost", Who: listedKnown, Median: listSample{CPU: 301}, Sessions: 5000, Refused: 5000, Refusal: "550 5.7.1 no"},
		{Name: "gatepost", Who: "new", Median: listSample{CPU: 900}, Sessions: 1000, Deferred: 999, LetIn: 1, Deferral: "451 4.4.3 no"},
		{Name: postscreen, Who: listedKnown, Median: listSample{CPU: 800}}, {Name: smtpdPeer, Who: listedKnown, Median: listSample{CPU: 700}}}
	r.Memory = []memoryResult{{Name: "gatepost", Heap: 1.9, ManyRSS: 299, Many: 20}}
	r.Boot = []bootResult{{Name: "gatepost", Median: 7, RSS: 41}}
	r.Failed = []string{"x: no\nway"}
	return r
}

// TestGoals shows each target beside its figure: met, missed and not measured.
func TestGoals(t *testing.T) {
	got := map[string]string{}
	for line := range strings.Lines(goalTable(sampleReport().goals("gatepost"))) {
		f := strings.Split(strings.Trim(line, "| \n"), " | ")
		got[f[0]] = strings.Join(f[1:], "; ")
	}
	for what, want := range map[string]string{
		// The rounds' ratios are 0.55, 0.5 and 0.6.
		"share of the direct rate, 10K, 10 connections":                                                          "at least 0.50 (aim 0.60); 0.55; met",
		"share of the direct rate, 1M, 50 connections":                                                           "at least 0.45 (aim 0.48); 0.55; met",
		"share of the direct rate, 100K, 10 connections":                                                         "at least 0.55 (aim 0.60); ; not measured",
		"times the rate of Postfix as a proxy, 10K, 50 connections":                                              "at least 4.0 times (aim 5.0 times); 6.0 times; met",
		"times the rate of the pipe, 10K, 10 connections":                                                        "at least 1.2 times; 1.2 times; met",
		"CPU a message, 10K, 10 connections, without the message log":                                            "at most 150 µs; 160 µs; **missed**",
		"CPU a message, 1M, 10 connections, without the message log":                                             "at most 900 µs; ; not measured",
		"CPU a message of the message log, 10K, 10 connections":                                                  "at most 120 µs; 40 µs; met",
		"events lost in 15000 messages at 3000/s":                                                                "none; 2, at 2990/s; **missed**",
		"p99, 10K, 50 connections, at half of our own most (300/s)":                                              "at most 20.0 ms; 20.5 ms; **missed**",
		"RSS for each of 5000 idle connections after EHLO":                                                       "at most 12.0 KiB (aim 8.0 KiB); 11.0 KiB; met",
		"RSS for each of 5000 idle connections after STARTTLS, EHLO":                                             "at most 32 KiB (aim 28 KiB); 33 KiB; **missed**",
		"RSS for each of 15000 idle connections after EHLO":                                                      "at most 12.0 KiB (aim 8.0 KiB); ; not measured",
		"CPU a TLS handshake, full; at most that of smtpd":                                                       "at most 650 µs; 220 µs; met",
		"CPU a TLS handshake, resumed":                                                                           "at most that of smtpd; ; not measured",
		"heap that a message of 50 MB adds":                                                                      "at most 2.0 MiB; 1.9 MiB; met",
		"peak RSS, 200 messages of 10 MB at once":                                                                "at most 300 MiB; ; not measured", // only 20 were sent
		"start to the banner":                                                                                    "at most 100 ms; 7.0 ms; met",
		"RSS at rest":                                                                                            "at most 40 MiB; 41 MiB; **missed**",
		"p99, 10K, 50 connections, under the load that Postfix's proxy gets too (80/s)":                          "at most 30.0 ms; 29.0 ms; met",
		"CPU a refused connection (access list, at connect); postscreen here: 46 µs":                             "at most 122 µs; 122 µs; met",
		"CPU a session of a client on eight lists, refused at RCPT; postscreen here: 800 µs, smtpd here: 700 µs": "at most 300 µs; 301 µs; **missed**",
		"clients on lists let in, of 6000, 1000 at once":                                                         "none; 1; **missed**",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
	// A load that was not reached shows nothing.
	for _, e := range []struct {
		rate, lost float64
		met        bool
	}{{2999, 0, true}, {2999, 1, false}, {2000, 0, false}} {
		r := report{Log: logResult{Events: []eventCount{{Name: "gatepost", Offered: 3000, Rate: e.rate, Lost: e.lost}}}}
		for _, g := range r.goals("gatepost") {
			if strings.HasPrefix(g.what, "events lost") && g.met != e.met {
				t.Errorf("%+v: met %t", e, g.met)
			}
		}
	}
	for _, g := range (report{}).goals("gatepost") {
		if g.measured {
			t.Errorf("nothing was measured, but %+v", g)
		}
	}
}

// TestDocument shows that a run's figures come between the marks and nothing else of the page changes, twice alike, with
// plots that are well-formed.
func TestDocument(t *testing.T) {
	dir, r := t.TempDir(), sampleReport()
	name := filepath.Join(dir, "performance.md")
	if err := r.writeDocument(dir); err == nil {
		t.Error("there is no page, and no error")
	}
	const before, after = "# Performance\n\ntext\n\n", "\n## After\n"
	for _, bad := range []string{"", before, beginMark, endMark + beginMark} {
		if err := os.WriteFile(name, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := r.writeDocument(dir); err == nil {
			t.Errorf("%q has no place for figures, and there is no error", bad)
		}
	}
	if err := os.WriteFile(name, []byte(before+beginMark+"old figures\n"+endMark+after), 0o644); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		if err := r.writeDocument(dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if !strings.HasPrefix(text, before+beginMark) || !strings.HasSuffix(text, endMark+after) || strings.Contains(text, "old figures") {
			t.Errorf("the page is\n%s", text)
		}
		if first != "" && text != first {
			t.Error("the second time it is another text")
		}
		first = text
	}
	for _, want := range []string{"![Messages a second", "| 10K | 10 | gatepost | 600 | 0.55 |", "Not measured: x: no way", "gatepost, half of its own most | 300 |", "554 5.7.1 |",
		"| gatepost | known, on all lists | 0 | 301 | 0 | 5000 | 5000 | 0 | 0 | 550 5.7.1 |", "| gatepost | new | 0 | 900 | 0 | 1000 | 0 | 999 | 1 | 451 4.4.3 |"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	for _, p := range r.plots() {
		f, err := os.Open(filepath.Join(dir, p.file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for d := xml.NewDecoder(f); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.file, err)
			}
		}
	}
	if busy := "The machine was busy with other work"; strings.Contains(first, busy) {
		t.Errorf("%q, but it was not", busy)
	} else {
		for i := range r.Cells {
			for j := range r.Cells[i].Trials {
				r.Cells[i].Trials[j].Median.Others = 0.5
			}
		}
		if text := r.document(); !strings.Contains(text, busy+" (0.5 processors)") {
			t.Errorf("no %q in\n%s", busy, text)
		}
	}
	// The peers look alike in all plots: they have the same order.
	var names []string
	for _, s := range r.plots()[2].chart.Panels[0].Series {
		names = append(names, s.Name)
	}
	if want := []string{"old", "gatepost", pipePeer, postfixPeer, "direct"}; !slices.Equal(names, want) {
		t.Errorf("series %v, want %v", names, want)
	}
}

// TestAgain shows that the figures of an earlier run make the same page.
func TestAgain(t *testing.T) {
	dir, r := t.TempDir(), sampleReport()
	file, page := filepath.Join(dir, "run.json"), filepath.Join(dir, "performance.md")
	p := plan{from: file, write: true, folder: dir}
	if err := p.again(io.Discard); err == nil {
		t.Error("there are no figures, and no error")
	}
	if err := errors.Join(r.write(file), os.WriteFile(page, []byte(beginMark+endMark), 0o644)); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := p.again(&table); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), strings.TrimSpace(r.document())) || table.String() != goalTable(r.goals("gatepost")) {
		t.Errorf("the page is\n%s", b)
	}
}

// TestParseMetrics shows that metrics are summed over their labels.
func TestParseMetrics(t *testing.T) {
	got := parseMetrics("# HELP a b 7\n# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"3\"} 4.5\nb 1e3\nc\nd{ x\n")
	if got["a"] != 7.5 || got["b"] != 1000 || len(got) != 2 {
		t.Errorf("%v", got)
	}
}
