package handover

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestPostfix does what the kit says to a real Postfix, and looks at it from the gateway and from elsewhere, before and after.
func TestPostfix(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := labtest.Dir(t)
	port, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	number := port.Number
	// As it is shipped, it hangs up after some errors and lets everybody in.
	p, err := lab.StartPostfix(ctx, dir, lab.PostfixOptions{Mailboxes: []string{"user@inside.test", "postmaster@inside.test"},
		Settings: []string{"smtpd_hard_error_limit = 20", "mynetworks = 127.0.0.9"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	look := func(address, from string) *Probe {
		return &Probe{Address: address, Hostname: "mx.example.org", Domain: "inside.test", Recipient: "user@inside.test", Size: 50 << 20, Connections: 10,
			Dial: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}
	}
	if got := verdicts(look(p.Addr, "127.0.0.1").Inside(ctx)); !strings.Contains(got, "FAIL error limit") {
		t.Errorf("before: %s", got)
	}
	if r := look(p.Addr, "127.0.0.2").Outside(ctx); r.Verdict != Bad {
		t.Errorf("before, from elsewhere: %+v", r)
	}

	f := Facts{Hostname: "mx.example.org", Gateways: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Domains: []string{"inside.test"}, Route: "r",
		HopHost: "127.0.0.1", Port: number, Size: 50 << 20, Recipients: 1000, Pool: 10, Forward: "xforward"}
	text := kit(t, "postfix", f)
	c := exec.CommandContext(ctx, "bash", "-e")
	c.Stdin = strings.NewReader(text)
	commands := filepath.Join("/", os.Getenv("GATEPOST_POSTFIX_ROOT"), "usr/sbin")
	c.Env = append(os.Environ(), "MAIL_CONFIG="+filepath.Join(dir, "etc"), "PATH="+commands+":/usr/sbin:/usr/bin:/sbin:/bin")
	if root := os.Getenv("GATEPOST_POSTFIX_ROOT"); root != "" {
		c.Env = append(c.Env, "LD_LIBRARY_PATH="+filepath.Join(root, "usr/lib/postfix"))
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("the kit: %v\n%s\n%s", err, out, p.Log())
	}
	to := net.JoinHostPort("127.0.0.1", strconv.Itoa(number))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", to); err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no smtpd on %s\n%s", to, p.Log())
		}
	}
	if got := verdicts(look(to, "127.0.0.1").Inside(ctx)); got != "" {
		t.Errorf("after: %s\n%s", got, p.Log())
	}
	if r := look(to, "127.0.0.2").Outside(ctx); r.Verdict != Good {
		t.Errorf("after, from elsewhere: %+v", r)
	}
}

// verdicts are those that are not good. How long a refusal took is the machine's affair as well.
func verdicts(results []Result) string {
	var out []string
	for _, r := range results {
		if r.Verdict != Good && r.What != "tarpit" {
			out = append(out, string(r.Verdict)+" "+r.What+": "+r.Detail)
		}
	}
	return strings.Join(out, "; ")
}
