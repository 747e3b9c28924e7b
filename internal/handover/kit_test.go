package handover

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

func facts() Facts {
	return Facts{Hostname: "mx.example.org", Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
		Domains: []string{"example.org", "example.net"}, Route: "internal", HopHost: "mail.inside.example", Port: 2525, Size: 52494337,
		Recipients: 1000, Pool: 10, SealDomain: "mx.example.org"}
}

func kit(t *testing.T, name string, f Facts) string {
	t.Helper()
	p, ok := Find(name)
	if !ok {
		t.Fatalf("no product %s", name)
	}
	var b strings.Builder
	if err := Write(&b, p, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestEveryKit shows that each names what it must, and that what is no command of a script is a comment in it.
func TestEveryKit(t *testing.T) {
	for _, p := range Products() {
		t.Run(p.Name, func(t *testing.T) {
			text := kit(t, p.Name, facts())
			for _, must := range []string{"192.0.2.10", "2001:db8::10", "mx.example.org", "example.org", "X-Gatepost-Verdict", "o undo",
				"handover " + p.Name + " --verify --outside mail.inside.example:2525"} {
				if !strings.Contains(text, must) {
					t.Errorf("it does not say %s", must)
				}
			}
			if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") || strings.Contains(text, "%!") {
				t.Errorf("a hole in the template:\n%s", text)
			}
			for i, line := range strings.Split(text, "\n") {
				if strings.TrimRight(line, " \t") != line {
					t.Errorf("line %d ends in white space: %q", i+1, line)
				}
			}
		})
	}
}

// TestScripts shows that what is printed for a shell is one script of it, and that no kit lets the gateway relay.
func TestScripts(t *testing.T) {
	for _, name := range []string{"postfix", "sendmail", "qmail", "dovecot", "courier"} {
		for _, port := range []int{25, 2525} {
			for _, forward := range []string{"", "xclient", "xforward"} {
				f := facts()
				f.Port, f.Forward = port, forward
				text := kit(t, name, f)
				c := exec.Command("bash", "-n")
				c.Stdin = strings.NewReader(text)
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%s, port %d: %v: %s", name, port, err, out)
				}
				if strings.Contains(text, "192.0.2.10:allow,RELAYCLIENT") || strings.Contains(text, "mynetworks=") {
					t.Errorf("%s lets the gateway relay:\n%s", name, text)
				}
				if name == "postfix" && forward != "" && !strings.Contains(text, "smtpd_authorized_"+forward+"_hosts=192.0.2.10,2001:db8::10'") {
					t.Errorf("forward = %s is not told", forward)
				}
			}
		}
	}
}

// TestSocket shows that a next hop on this host is asked for by its path.
func TestSocket(t *testing.T) {
	f := facts()
	f.HopHost = "unix:/run/dovecot/lmtp"
	text := kit(t, "dovecot", f)
	if !strings.Contains(text, "unix_listener /run/dovecot/lmtp {") || strings.Contains(text, "inet_listener") || !strings.Contains(text, "--outside unix:/run/dovecot/lmtp") {
		t.Errorf("%s", text)
	}
}

func TestMissingFacts(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"no gateway": func(f *Facts) { f.Gateways = nil }, "no domain": func(f *Facts) { f.Domains = nil },
	} {
		f := facts()
		change(&f)
		if err := Write(&strings.Builder{}, Products()[0], f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, ok := Find("sendmail8"); ok {
		t.Error("a product that is not there was found")
	}
}
