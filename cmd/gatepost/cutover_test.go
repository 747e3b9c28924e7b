package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// TestCutover shows a plan from what DNS says, and what verify finds in each place: a gateway that greets, its certificate, the next
// hop, the MX and the SPF record.
func TestCutover(t *testing.T) {
	cert, key, err := lab.NewCertificate("nexthop.lab.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	hop, err := lab.StartNextHop(lab.NextHopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer hop.Close()
	gate, err := lab.StartNextHop(lab.NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}}) // what it says is what a listener says
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	gate.On("RCPT", lab.Reply("550 5.7.1 relaying denied"))
	names := dnslab.New(t, dnslab.Text("example.org. MX 10 old.example.net.\nold.example.net. A 192.0.2.25\nexample.org. TXT \"v=spf1 mx -all\"\n"+
		"_mta-sts.example.org. TXT \"v=STSv1; id=1\"\nnexthop.lab.test. A 192.0.2.1\nexample.com. MX 5 nexthop.lab.test.\nexample.com. MX 10 old.example.net.\n"+
		"example.com. TXT \"v=spf1 ip4:192.0.2.7 -all\"\n"))
	host, port, _ := net.SplitHostPort(hop.Addr())
	policy := "[[domain]]\nname = \"example.org\"\nroute = \"in\"\n[[domain]]\nname = \"example.com\"\nroute = \"in\"\n[[route]]\nname = \"in\"\n[[route.next_hop]]\nhost = \"" + host + "\"\nport = " + port + "\n"
	dir := documents(t, "", policy)
	text, err := os.ReadFile(filepath.Join(dir, "gatepost.toml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "gatepost.toml"), bytes.Replace(text, []byte("mx.example.org"), []byte("nexthop.lab.test"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) (int, string, string) {
		return gatepost(t, append([]string{"cutover"}, append(args, "--config", dir, "--dns", names.Addr())...)...)
	}

	code, out, errOut := ask("plan", "--domain", "example.org", "--start", "2027-01-10")
	for _, want := range []string{"MX 10 old.example.net", "2027-01-08  take mx out of the SPF record", "ip4:192.0.2.25 in place of mx", "MTA-STS policy", "IN MX 20 nexthop.lab.test.",
		`networks = ["192.0.2.25/32"]`} {
		if code != cli.Done || !strings.Contains(out, want) {
			t.Errorf("exit %d: %q is not in the plan\n%s%s", code, want, out, errOut)
		}
	}
	if code, out, _ = ask("plan", "--domain", "example.com", "--json"); code != cli.Done || !strings.HasPrefix(out, `{"step":1,"day":"2`) || !strings.Contains(out, "it is the first MX already") {
		t.Errorf("exit %d: %s", code, out)
	}

	code, out, errOut = ask("verify", "--domain", "example.org", "--listener", gate.Addr())
	for _, want := range []string{"ok   policy: serves example.org by route in", "ok   DNS: nexthop.lab.test is 192.0.2.1", "note MX: 10 old.example.net", "this gateway is none of them yet",
		"greets as nexthop.lab.test", "ok   listener " + gate.Addr() + ": TLS 1.3, ", "note listener " + gate.Addr() + ": no public authority vouches for it", "ok   listener " + gate.Addr() + ": no relay: ", "takes mail for postmaster@example.org", "bad  SPF: v=spf1 mx -all: mx means"} {
		if code != cli.Found || !strings.Contains(out, want) {
			t.Errorf("exit %d: %q is not in\n%s%s", code, want, out, errOut)
		}
	}
	code, out, _ = ask("verify", "--domain", "example.com", "--listener", gate.Addr(), "--json")
	if code != cli.Done || strings.Contains(out, `"bad"`) || !strings.Contains(out, `{"verdict":"ok","what":"MX"`) {
		t.Errorf("exit %d: %s", code, out)
	}

	hop.On("RCPT", lab.Reply("550 5.7.1 relaying denied"))
	code, out, _ = ask("verify", "--domain", "example.com", "--listener", hop.Addr())
	if code != cli.Found || !strings.Contains(out, "refuses mail for postmaster@example.com") || !strings.Contains(out, "offers no STARTTLS") {
		t.Errorf("exit %d: %s", code, out)
	}
	hop.Close()
	code, out, _ = ask("verify", "--domain", "other.example", "--listener", hop.Addr())
	if code != cli.Found || !strings.Contains(out, "bad  policy: other.example is not served") || !strings.Contains(out, "no client gets in") || !strings.Contains(out, "bad  MX: other.example has no MX record") {
		t.Errorf("exit %d: %s", code, out)
	}
	for _, args := range [][]string{{"plan"}, {"plan", "--domain", "a b"}, {"verify"}, {"plan", "--domain", "example.org", "--start", "soon"}} {
		if code, _, errOut = ask(args...); code != cli.Usage || errOut == "" {
			t.Errorf("%v: exit %d: %s", args, code, errOut)
		}
	}
	names.SetFault("example.org", dnslab.Fault{Kind: dnslab.ServFail})
	if code, _, errOut = ask("plan", "--domain", "example.org"); code != cli.Found || !strings.Contains(errOut, "could not be looked up") {
		t.Errorf("a plan without DNS: exit %d: %s", code, errOut)
	}
}
