package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/doctor"
	"gatepost/internal/lab/dnslab"
	"gatepost/tls/dane"
)

// section returns a part of a case: what stands between "-- name --" and the next such line.
func section(text, name string) string {
	_, rest, ok := strings.Cut(text, "-- "+name+" --\n")
	if !ok {
		return ""
	}
	if strings.HasPrefix(rest, "-- ") {
		return ""
	}
	out, _, _ := strings.Cut(rest, "\n-- ")
	return strings.TrimSuffix(out, "\n") + "\n"
}

// TestDoctorCases runs the groups that ask only DNS over a name server with the zone of each case, and holds the page against
// what the case wants. A case has the sections group (its name), options (words: slow, moving, untrusted, validating, dane, bare, others=NAME),
// zone (each name in full; @ is the end of it), faults (NAME KIND), domains (those that are served), domain (more lines of each) and want.
func TestDoctorCases(t *testing.T) {
	files, err := filepath.Glob("testdata/doctor/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			got := doctorCase(t, text)
			if want := section(text, "want"); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

var (
	timesOf = regexp.MustCompile(`answers in [0-9.]+ ms`)
	portsOf = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// commonZone is what every case has: names that show how a resolver works.
const commonZone = `
signed.test.               IN A 192.0.2.80
bogus.test.                IN A 192.0.2.81
2.0.0.127.list.test.       IN A 127.0.0.2
`

func doctorCase(t *testing.T, text string) string {
	zone := commonZone
	if own := section(text, "zone"); strings.Contains(own, "signed.test.") || strings.Contains(section(text, "options"), "bare") {
		zone = own
	} else {
		zone += own
	}
	server := dnslab.New(t, dnslab.Text(zone))
	kinds := map[string]dnslab.Kind{"servfail": dnslab.ServFail, "timeout": dnslab.Timeout, "bogus": dnslab.Bogus, "ad": dnslab.AD, "refused": dnslab.Refused,
		"huge": dnslab.HugeTXT, "many": dnslab.ManyRecords}
	for line := range strings.Lines(section(text, "faults")) {
		f := strings.Fields(line)
		fault := dnslab.Fault{Kind: kinds[f[1]]}
		if len(f) > 2 {
			fault.Type = f[2]
		}
		server.SetFault(f[0], fault)
	}
	dir := t.TempDir()
	bootstrap := "hostname = \"mx.example.org\"\n[dns]\nservers = [\"" + server.Addr() + "\"]\ntimeout = \"2s\"\n" + section(text, "bootstrap")
	policy := "[[route]]\nname = \"in\"\n[[route.next_hop]]\nhost = \"127.0.0.1\"\n"
	for name := range strings.FieldsSeq(section(text, "domains")) {
		policy += "[[domain]]\nname = \"" + name + "\"\nroute = \"in\"\n" + section(text, "domain")
	}
	for name, text := range map[string]string{config.BootstrapFile: bootstrap, config.PolicyFile: policy} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := config.Load(dir, sections())
	if c == nil {
		t.Fatal(problems)
	}
	o := doctorOptions{config: dir}
	for word := range strings.FieldsSeq(section(text, "options")) {
		if name, ok := strings.CutPrefix(word, "others="); ok {
			o.others = append(o.others, name)
		}
	}
	w, err := newWorld(c, o)
	if err != nil {
		t.Fatal(err)
	}
	w.Now = func() time.Time { return time.Date(2026, 11, 26, 20, 0, 0, 0, time.UTC) }
	w.Interfaces, w.Slow = []netip.Addr{netip.MustParseAddr("198.51.100.25")}, time.Hour
	w.Probes = doctor.Probes{Signed: []string{"signed.test"}, Bogus: []string{"bogus.test"}, Lists: []doctor.ListProbe{{Name: "2.0.0.127.list.test",
		Refused: []netip.Addr{netip.MustParseAddr("127.255.255.254")}}}}
	if strings.Contains(section(text, "options"), "slow") {
		w.Slow = 1
	}
	if strings.Contains(section(text, "options"), "untrusted") {
		w.Servers[0].Trusted = false
	}
	if strings.Contains(section(text, "options"), "validating") {
		w.Validating = "route in (tls = dane)"
	}
	w.AskTLSA = nil
	if strings.Contains(section(text, "options"), "dane") {
		w.AskTLSA = func(context.Context) ([]doctor.TLSAHost, error) {
			return []doctor.TLSAHost{{Host: "mx.example.org", State: "right", Verdict: doctor.OK, Counts: true}}, nil
		}
	}
	w.Moving = strings.Contains(section(text, "options"), "moving")
	groups := slices.DeleteFunc(w.Groups(), func(g doctor.Group) bool { return g.Name != strings.TrimSpace(section(text, "group")) })
	var out bytes.Buffer
	found := doctor.Examine(t.Context(), groups, time.Minute)
	for _, l := range found[0].Lines {
		printLine(&out, &l)
		if !slices.Contains(doctor.IDs(), l.ID) {
			t.Errorf("%s is none of the lines that there are", l.ID)
		}
	}
	got := strings.ReplaceAll(out.String(), dir, "DIR")
	got = timesOf.ReplaceAllString(got, "answers in TIME")
	return portsOf.ReplaceAllString(got, "RESOLVER")
}

// TestDoctorUsage shows what is refused before anybody is asked.
func TestDoctorUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.BootstrapFile), []byte("hostname = \"mx.example.org\"\n[dns]\nservers = [\"127.0.0.1:1\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--only", "nothing"}, "there is no group \"nothing\"; the groups are dns, domain, host, listener, daemon, lists, clock, nexthops, scanners, services, disk, web"},
		{[]string{"--domain", "..", "--only", "domain"}, "--domain: \"..\" is no domain"},
		{[]string{"--domain", "example.net"}, "--domain: example.net is not served"},
		{[]string{"--dns", "resolver.example"}, "server \"resolver.example\": not an IP address"},
		{[]string{"everything"}, "\"everything\" is too much"},
	} {
		var out, errOut bytes.Buffer
		if code := examine(context.Background(), cli.Env{Out: &out, Err: &errOut, Sections: sections}, append(c.args, "--config", dir)); code != cli.Usage {
			t.Errorf("%v: exit code %d", c.args, code)
		}
		if !strings.Contains(errOut.String(), c.want) {
			t.Errorf("%v: got %q, want %q in it", c.args, errOut.String(), c.want)
		}
	}
}

// TestDoctorPage holds docs/doctor.md against the lines that there are: each has a row of its own there, in their order.
func TestDoctorPage(t *testing.T) {
	data, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(data)) {
		if id, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && strings.HasPrefix(line, "| `") && strings.Contains(id, ".") {
			rows = append(rows, id)
		}
	}
	if want := slices.DeleteFunc(doctor.IDs(), func(id string) bool { return strings.HasSuffix(id, ".unfinished") }); !slices.Equal(rows, want) {
		t.Errorf("docs/doctor.md has rows for %v, the lines are %v", rows, want)
	}
}

// TestDoctorTLSA shows what is made of each state of our own TLSA records.
func TestDoctorTLSA(t *testing.T) {
	lines := []tlsaLine{{Line: "LINE 1", Key: "shown", Published: true}, {Line: "LINE 2", Key: "next"}}
	for state, want := range map[dane.State]string{
		dane.CannotTell:   "? cannot tell remove: OLD|advice",
		dane.BogusZone:    "FAIL bogus LINE 2|remove: OLD|advice",
		dane.NotSigned:    "ok no TLSA records are published ",
		dane.NotPublished: "ok no TLSA records are published ",
		dane.NotValidated: "warn not validated LINE 2|remove: OLD|advice",
		dane.Unusable:     "warn unusable LINE 2|remove: OLD|advice",
		dane.Right:        "ok right ",
		dane.RightNext:    "ok right, next key too ",
		dane.Stale:        "ok stale ",
		dane.Partly:       "FAIL partly LINE 2|remove: OLD|advice",
		dane.Wrong:        "FAIL wrong LINE 2|remove: OLD|advice",
		dane.Missing:      "? no keys LINE 2|remove: OLD|advice",
	} {
		h := tlsaLineOf(&tlsaHost{Host: "mx.example.org", State: state, Alarm: state.Alarming(), Lines: lines, Remove: []string{"OLD"}, Do: []string{"advice"}})
		if got := h.Verdict.String() + " " + h.State + " " + strings.Join(h.Do, "|"); got != want {
			t.Errorf("%s: got %q, want %q", state, got, want)
		}
		if h.Counts != (state == dane.Right || state == dane.RightNext || state == dane.Stale) {
			t.Errorf("%s: counts is %v", state, h.Counts)
		}
	}
}
