package dmarc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatepost/internal/lab/dnslab"
)

// opendmarcCase is a question to libopendmarc, and opendmarcSays its answer: found is the status of its query, status that
// of its policy.
type opendmarcCase struct {
	Author string   `json:"author"`
	SPF    string   `json:"spf"`
	DKIM   []string `json:"dkim"`
}

type opendmarcSays struct {
	Found, Status int
	Where, Tag    string
	SPF, DKIM     bool
}

// TestOpenDMARC compares alignment, discovery and policy under PSL with libopendmarc, over one DNS with records of many
// kinds. Where they differ it must be for a reason that docs/rfc.md explains.
func TestOpenDMARC(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7489, 6))}
	long := func(name string) string { // it takes labels of one letter for public suffixes
		return strings.Join(longLabels(strings.Split(name, ".")), ".")
	}
	w := zone()
	var records strings.Builder
	for range 120 {
		name := "_dmarc." + long(d.name())
		if w.texts[name] != nil || strings.Contains(name, "nosuch") {
			continue
		}
		for range pick(d, 1, 1, 1, 1, 1, 1, 1, 2) {
			text := pick(d, d.record(), d.record(), d.record(), "v=DMARC1 ; P = QUARANTINE ; sp=REJECT;;")
			if len(w.texts[name]) > 0 && w.texts[name][0] == text {
				continue // the same record twice is one
			}
			w.texts[name] = append(w.texts[name], text)
			fmt.Fprintf(&records, "%s. 60 IN TXT %q\n", name, text)
		}
	}
	server := dnslab.New(t, dnslab.Text(records.String()))
	var cases []opendmarcCase
	var in bytes.Buffer
	for range 3000 {
		c := opendmarcCase{Author: long(d.name())}
		for _, id := range d.input(c.Author).Identifiers {
			id.Domain = long(id.Domain)
			if id.Method == "spf" {
				c.SPF = id.Domain
			} else {
				c.DKIM = append(c.DKIM, id.Domain)
			}
		}
		cases = append(cases, c)
		line, _ := json.Marshal(c)
		in.Write(append(line, '\n'))
	}
	differ := map[string]int{}
	for i, says := range askOpenDMARC(t, server.Addr(), &in, len(cases)) {
		c := cases[i]
		input := &Input{Sample: 0}
		if c.SPF != "" {
			input.Identifiers = append(input.Identifiers, Identifier{Method: "spf", Domain: c.SPF})
		}
		for _, domain := range c.DKIM {
			input.Identifiers = append(input.Identifiers, Identifier{Method: "dkim", Domain: domain})
		}
		out := Check(context.Background(), w, c.Author, input, PSL)
		if got, want := verdictOf(out), verdictThere(&says); got == want {
			continue
		} else if why := whyNotOpenDMARC(w, &c, out, &says); why != "" {
			differ[why]++
		} else {
			t.Errorf("%+v: %s, libopendmarc %s (%+v)\n%s\n%q", c, got, want, says, told(out), w.texts["_dmarc."+out.PolicyDomain])
		}
	}
	explained := 0
	for _, n := range differ {
		explained += n
	}
	if explained*4 > len(cases) {
		t.Errorf("%d of %d cases are left out: %v", explained, len(cases), differ)
	}
}

func askOpenDMARC(t *testing.T, addr string, in *bytes.Buffer, n int) []opendmarcSays {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-B", "testdata/opendmarc.py", port)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("libopendmarc (Debian's libopendmarc2 and publicsuffix): %v\n%s", err, errs.String())
	}
	var out []opendmarcSays
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var s opendmarcSays
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if len(out) != n {
		t.Fatalf("%d answers to %d cases\n%s", len(out), n, errs.String())
	}
	return out
}

// verdictOf and verdictThere are what both sides can tell.
func verdictOf(o *Outcome) string {
	switch o.Result {
	case NoRecord, PermError:
		return "none"
	case Pass:
		return "pass at " + o.PolicyDomain
	}
	return fmt.Sprintf("fail at %s, %s by %s", o.PolicyDomain, o.Published, o.Tag)
}

func verdictThere(s *opendmarcSays) string {
	if s.Found != 0 {
		return "none"
	}
	switch s.Status {
	case 15:
		return "pass at " + s.Where
	case 16, 17, 18:
		return fmt.Sprintf("fail at %s, %s by %s", s.Where, [...]Policy{Reject, Quarantine, None}[s.Status-16], s.Tag)
	}
	return "status " + strconv.Itoa(s.Status)
}

// whyNotOpenDMARC explains a difference; "" if there is none to explain.
func whyNotOpenDMARC(w *world, c *opendmarcCase, o *Outcome, s *opendmarcSays) string {
	own, org := w.texts["_dmarc."+c.Author], w.texts["_dmarc."+registered(c.Author)]
	switch {
	case len(own) > 1 || len(org) > 1:
		return "it takes the first of several texts, whatever they are"
	case isSuffix(c.Author) || isSuffix(c.SPF) || slices.ContainsFunc(c.DKIM, isSuffix):
		return "it lets a public suffix align with what is below it"
	case s.Found == 4 || s.Found == 5:
		if r := o.Record; r != nil && (r.Broken != "" || r.Policy == None && len(r.Aggregate) > 0) {
			return "it does not use a record whose policy cannot be read, where rua is set"
		}
	case s.Found == 0 && o.Result == NoRecord && isSuffix(s.Where):
		return "it uses the record of a public suffix (RFC 9091), and takes all below it for one organization"
	case s.Status == 15 && o.Result == Fail && o.Record != nil:
		for _, al := range o.Alignments {
			if under(al.Domain, c.Author) && (al.Method == "spf" && s.SPF && o.Record.StrictSPF || al.Method == "dkim" && s.DKIM && o.Record.StrictDKIM) {
				return "it takes a sub-domain of the author for strictly aligned"
			}
		}
	}
	return ""
}

func longLabels(labels []string) []string {
	for i, l := range labels {
		if len(l) == 1 {
			labels[i] = "l" + l + "ng"
		}
	}
	return labels
}
