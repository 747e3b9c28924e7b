package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// doctorZones are the names of a domain of which all is well, and those by which a doctor knows a good resolver.
const doctorZones = `
mx.gatepost.test. A 127.0.0.1
served.test. MX 10 mx.gatepost.test.
served.test. TXT "v=spf1 -all"
_dmarc.served.test. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@served.test"
_mta-sts.served.test. TXT "v=STSv1; id=1;"
mta-sts.served.test. A 127.0.0.1
_smtp._tls.served.test. TXT "v=TLSRPTv1; rua=mailto:tls@served.test"
internetsociety.org. A 192.0.2.1
nic.cz. A 192.0.2.1
isc.org. A 192.0.2.1
dnssec-failed.org. A 192.0.2.1
www.rhybar.cz. A 192.0.2.1
2.0.0.127.zen.spamhaus.org. A 127.0.0.2
`

// finding is one line of a doctor's.
type finding struct {
	ID      string   `json:"id"`
	Verdict string   `json:"verdict"`
	About   string   `json:"about"`
	Saw     string   `json:"saw"`
	Fix     []string `json:"fix"`
}

// examined runs the doctor over the documents of a world, whether its daemon runs or not.
func (w *world) examined(t *testing.T, args ...string) (all []finding, code int) {
	t.Helper()
	binary, err := lab.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, errOut, code, err := lab.RunGatepost(t.Context(), binary, w.dir, append([]string{"doctor", "--json", "--config", w.dir}, args...)...)
	if err != nil {
		t.Fatal(err, errOut)
	}
	for line := range strings.Lines(out) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, f)
	}
	return all, code
}

// expect holds verdicts against what is wanted: "fail listener.reach"; those that are not named may be anything.
func expect(t *testing.T, all []finding, want ...string) {
	t.Helper()
	var got []string
	for _, f := range all {
		got = append(got, f.Verdict+" "+f.ID)
		if strings.HasSuffix(f.ID, ".unfinished") {
			t.Errorf("%+v", f)
		}
		if f.Verdict != "ok" && f.Verdict != "unknown" && len(f.Fix) == 0 {
			t.Errorf("nothing is said of what to do: %+v", f)
		}
	}
	for _, x := range want {
		if !slices.Contains(got, x) {
			_, id, _ := strings.Cut(x, " ")
			for _, f := range all {
				if f.ID == id {
					t.Logf("%+v", f)
				}
			}
			t.Errorf("%q was not found", x)
		}
	}
}

// TestDoctor: a daemon of which nearly all is well is examined, with nobody trusted, so that the self test is a stranger's;
// then what breaks is found, one thing after another; and all that needs no daemon is told without one.
func TestDoctor(t *testing.T) {
	t.Parallel()
	names := dnslab.New(t, dnslab.Text(doctorZones))
	for _, signed := range []string{"internetsociety.org", "nic.cz", "isc.org"} {
		names.SetFault(signed, dnslab.Fault{Kind: dnslab.AD})
	}
	names.SetFault("dnssec-failed.org", dnslab.Fault{Kind: dnslab.Bogus})
	w := begin(t, setup{dns: names.Addr(), policy: noGreylist})

	all, code := w.examined(t)
	if !slices.ContainsFunc(all, func(f finding) bool { return f.ID == "dns.resolver" && (f.Verdict == "ok" || f.Verdict == "warn") }) {
		t.Error("the resolver is not told as one that answers, fast or slow: a busy machine is not the resolver's")
	}
	expect(t, all, "ok dns.dnssec", "ok dns.public", "ok domain.mx", "warn domain.mx_host", "ok domain.spf", "ok domain.dmarc", "ok domain.mta_sts",
		"ok domain.tlsrpt", "ok host.name", "ok host.fcrdns", "ok listener.reach", "ok listener.banner", "ok listener.offers", "ok listener.starttls",
		"warn listener.certificate", "ok listener.relay", "ok daemon.running", "ok daemon.policy", "ok daemon.memory", "ok nexthops.reach",
		"ok nexthops.size", "ok nexthops.offers", "ok nexthops.recipients", "ok scanners.clamd", "ok scanners.spamd", "ok disk.folder", "ok disk.fsync",
		"fail web.mta_sts") // the record promises a policy, and nobody serves it
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	if n := len(w.hop(t).Messages()); n != 0 {
		t.Errorf("the self test brought %d messages", n)
	}
	if all, code = w.examined(t, "--only", "domain,host", "--domain", "served.test"); code != 0 || len(all) == 0 {
		t.Errorf("exit code %d, %d lines", code, len(all))
	}

	// Its next hop goes, a list of recipients with it; the resolver stops validating; an operator drains the host.
	w.hop(t).Close()
	names.SetFault("dnssec-failed.org")
	if _, errOut, code, err := w.daemon.Command(t.Context(), "drain", "--after", "0s"); err != nil || code != 0 {
		t.Fatal(errOut, err)
	}
	all, _ = w.examined(t)
	expect(t, all, "warn dns.dnssec", "fail nexthops.reach", "warn daemon.drain", "fail listener.banner")

	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	all, code = w.examined(t)
	expect(t, all, "fail daemon.running", "fail listener.reach", "ok domain.mx", "ok host.name", "ok scanners.clamd", "ok disk.fsync")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

// TestDoctorOfOpenRelay: the self test finds a server that takes anything, wherever it is told to look.
func TestDoctorOfOpenRelay(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	open, err := lab.StartNextHop(lab.NextHopOptions{Everyone: true})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	all, code := w.examined(t, "--only", "listener", "--listener", open.Addr())
	expect(t, all, "fail listener.relay", "fail listener.banner")
	if code != 1 || slices.ContainsFunc(open.Commands(), func(c string) bool { return c == "DATA" }) {
		t.Errorf("exit code %d, commands %q", code, open.Commands())
	}
}
