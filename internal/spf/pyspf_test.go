package spf

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// python is what pyspf says.
type python struct{ Result, Explanation, Problem, Mechanism string }

// askPyspf has pyspf evaluate cases, in one process.
func askPyspf(t *testing.T, cases []randomCase) []python {
	t.Helper()
	var in bytes.Buffer
	for _, c := range cases {
		type record struct {
			Kind  string `json:"kind"`
			Value string `json:"value"`
			Pref  uint16 `json:"pref"`
		}
		zone := map[string][]record{}
		for name, list := range c.w.zone {
			for _, r := range list {
				zone[name] = append(zone[name], record{r.kind, r.value, r.pref})
			}
		}
		line, err := json.Marshal(map[string]any{"zone": zone, "ip": c.ip, "helo": c.helo, "from": c.from})
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-B", "testdata/pyspf.py")
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &errs
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("pyspf (Debian's python3-spf): %v\n%s", err, errs.String())
	}
	var out []python
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var p python
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	if len(out) != len(cases) {
		t.Fatalf("%d answers to %d cases\n%s", len(out), len(cases), errs.String())
	}
	return out
}

// outermost is the mechanism of the first record that matched, which is the one that pyspf tells.
func outermost(o Outcome) string {
	for _, c := range o.Chain {
		if !strings.HasPrefix(strings.ToLower(c), "redirect=") {
			return c
		}
	}
	return o.Mechanism
}

// TestPyspf compares with pyspf over the public suite and over random records.
func TestPyspf(t *testing.T) {
	var cases []randomCase
	for _, s := range loadSuite(t).Scenarios {
		for _, c := range s.Tests {
			cases = append(cases, randomCase{suiteWorld(t, s.ZoneData), c.Host, c.Helo, c.MailFrom})
		}
	}
	for seed := range uint64(6000) {
		cases = append(cases, makeCase(seed))
	}
	results := map[string]int{}
	explained := map[string]int{}
	for i, p := range askPyspf(t, cases) {
		c := cases[i]
		o := Check(t.Context(), c.w, queryOf(c.ip, c.helo, c.from))
		results[o.Result.String()]++
		matched := o.Mechanism != ""
		if o.Result.String() == p.Result && o.Explanation == p.Explanation && (!matched || outermost(o) == p.Mechanism) {
			continue
		}
		why := whyNotPyspf(c, o, p)
		if why == "" {
			t.Errorf("case %d: %+v\npyspf %+v\n%s from %q, HELO %s: %v", i, o, p, c.ip, c.from, c.helo, c.w.zone)
			continue
		}
		explained[why]++
	}
	t.Logf("%d cases: %v; explained: %v", len(cases), results, explained)
	for _, r := range []Result{TempError, None, Neutral, Pass, Fail, SoftFail, PermError} {
		if results[r.String()] < 50 {
			t.Errorf("only %d cases come to %s: the comparison shows too little", results[r.String()], r)
		}
	}
}

// whyNotPyspf explains a difference; "" is a difference that must not be.
func whyNotPyspf(c randomCase, o Outcome, p python) string {
	switch {
	case p.Problem == "include has trivial recursion" && p.Result == "permerror":
		return "pyspf takes a record that includes itself for broken, before it comes to that"
	case p.Problem == "DNS too many aliases" && c.ip == "192.0.2.4" && o.Result == Neutral:
		return "section 5.5: a name of the client whose addresses DNS cannot tell is left out; pyspf says temperror"
	case strings.HasPrefix(p.Problem, "Void lookup limit") && p.Result == "permerror" && o.Voids+emptyHosts(c) > maxVoids:
		return "pyspf counts each mail host and each name of the client that has no address as a void lookup; to us it is the term that counts"
	case p.Problem == "Too many DNS lookups" && p.Result == "permerror" && o.Lookups <= maxLookups && o.Lookups+redirects(c) > maxLookups:
		return "section 4.6.4: pyspf counts a redirect that the evaluation never comes to"
	}
	return ""
}

// redirects counts the records with one that an evaluation reads.
func redirects(c randomCase) (n int) {
	w := &world{zone: c.w.zone}
	check(context.Background(), w, queryOf(c.ip, c.helo, c.from), 0)
	for asked, times := range w.asked {
		if name, ok := strings.CutPrefix(asked, "TXT "); ok {
			for _, r := range c.w.zone[name] {
				if strings.Contains(r.value, "redirect=") {
					n += times
				}
			}
		}
	}
	return n
}

// emptyHosts counts what only pyspf counts: mail hosts that have no address, and the client's names that have none, or
// its having no name, each time that a term or macro asks for them, which pyspf expands before it evaluates anything.
func emptyHosts(c randomCase) (n int) {
	ctx := context.Background()
	w := &world{zone: c.w.zone}
	q := queryOf(c.ip, c.helo, c.from)
	o := check(ctx, w, q, 0)
	family, client := "A", "PTR "+reverse(q.IP.Unmap())
	if q.IP.Unmap().Is6() {
		family = "AAAA"
	}
	for _, list := range c.w.zone {
		for _, r := range list {
			if r.kind == "TXT" && strings.Contains(r.value, "%{p") {
				w.note("PTR", reverse(q.IP.Unmap()))
			}
		}
	}
	for asked, times := range w.asked {
		kind, name, _ := strings.Cut(asked, " ")
		if kind != "MX" && asked != client {
			continue
		}
		list, _ := w.get(ctx, kind, name)
		if asked == client {
			times += o.Lookups
			if len(list) == 0 {
				n += times
			}
		}
		for _, host := range list {
			if a, _ := w.get(ctx, family, host.value); len(a) == 0 {
				n += times
			}
		}
	}
	return n
}
