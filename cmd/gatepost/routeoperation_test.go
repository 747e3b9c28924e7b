package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/lab"
)

// TestRouteTest tries the way to a real Postfix by the routes of a policy: all well, with another name than its certificate has, for
// a pin of another certificate, a domain that it does not take, and stopped.
func TestRouteTest(t *testing.T) {
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, err := lab.StartPostfix(t.Context(), dir, lab.PostfixOptions{Name: "inner.lab.test", TLS: true, Mailboxes: []string{"user@inside.test", "postmaster@inside.test"}})
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
	host, port, _ := net.SplitHostPort(p.Addr)
	hop := fmt.Sprintf("next_hop = [{ host = %q, port = %s }]\n", host, port)
	policy := "[[domain]]\nname = \"inside.test\"\nroute = \"good\"\n[[domain]]\nname = \"outside.test\"\nroute = \"good\"\n" +
		fmt.Sprintf("[[route]]\nname = \"good\"\ntls = \"required\"\nca_file = %q\nserver_name = \"inner.lab.test\"\n", p.Certificate) + hop +
		fmt.Sprintf("[[route]]\nname = \"name\"\ntls = \"required\"\nca_file = %q\nserver_name = \"other.lab.test\"\n", p.Certificate) + hop +
		"[[route]]\nname = \"pin\"\ntls = \"fingerprint\"\nfingerprints = [\"" + strings.Repeat("ab", 32) + "\"]\n" + hop
	c, problems := config.Load(documents(t, "", policy), sections())
	if c == nil {
		t.Fatal(problems)
	}
	d := &daemon{bootstrap: c.Bootstrap}
	d.document.Store(c)
	if d.parts, err = newParts(c.Bootstrap, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s := &control.Surface{Operations: d.routeOperations()}
	try := func(in api.RouteAsk) *api.RouteTested {
		t.Helper()
		if in.Port == 0 {
			in.Port = 25
		}
		out, err := controltest.Ask[*api.RouteTested](t.Context(), s, access.Actor{Name: "otto", Role: access.Operator}, "route test", &in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	at := func(out *api.RouteTested) string {
		var all []string
		for _, step := range out.Hops[0].Steps {
			if step.Verdict != api.RouteOK {
				all = append(all, step.Step+" "+step.Fault)
			}
		}
		return out.Verdict + " " + strings.Join(all, ", ")
	}
	portNumber, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	for want, in := range map[string]api.RouteAsk{
		"ok ":                          {Domain: "inside.test"},
		"fail takes recipient-refused": {Domain: "outside.test"},
		"fail tls wrong-name":          {Route: "name"},
		"fail tls not-pinned":          {Route: "pin"},
		"fail tls unknown-authority":   {Host: host, Port: portNumber, TLS: "required", ServerName: "inner.lab.test"},
	} {
		if got := at(try(in)); got != want {
			t.Errorf("%+v: %s, want %s: %+v", in, got, want, try(in))
		}
	}
	// A server that is in no route yet, for a domain that is not served yet, and somebody there.
	if got := try(api.RouteAsk{Host: host, Port: portNumber, Domain: "inside.test", Recipient: "user@inside.test"}); got.Verdict != api.RouteOK || got.Recipient != "user@inside.test" || len(got.Hops[0].Steps) < 7 {
		t.Errorf("%+v", got)
	}
	stop()
	if got := try(api.RouteAsk{Domain: "inside.test"}); at(got) != "fail connect refused" || got.Hops[0].Steps[0].Cause == "" || len(got.Hops[0].Steps[0].Fix) == 0 {
		t.Errorf("%+v", got)
	}
}
