package console

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// networkSite is one whose appliance answers with what is there, and keeps what it is asked for.
func networkSite(t *testing.T) (s *site, there *api.Network, said *[]string) {
	t.Helper()
	s, there, said = newSite(t), new(api.Network), new([]string)
	do := func(name, path string) control.Operation {
		return control.Do(name, path, "Do it", access.ApplianceChange)
	}
	add := func(o control.Operation) { s.Surface.Operations = append(s.Surface.Operations, o) }
	add(control.Define(control.Look("appliance network", "/appliance/network", "Show it", access.SystemRead), func(context.Context, *struct{}) (*api.Network, error) { return there, nil }))
	add(control.Define(do("appliance network set", "/appliance/network"), func(_ context.Context, in *api.NetworkSet) (*api.Network, error) {
		if strings.Contains(in.Settings, "bad") {
			return nil, &control.Fault{Status: 409, Message: "settings:1: interfaces[0].addresses[0]: \"bad<i>\" is none"}
		}
		*said = append(*said, in.Settings+" "+in.Within.String())
		return there, nil
	}))
	add(control.Define(do("appliance network confirm", "/appliance/network/confirm"), func(context.Context, *struct{}) (*api.Network, error) {
		*said = append(*said, "confirm")
		return there, nil
	}))
	add(control.Define(do("appliance name", "/appliance/name"), func(_ context.Context, in *api.NetworkName) (*api.Network, error) {
		*said = append(*said, "name "+in.Hostname)
		return &api.Network{Hostname: in.Hostname}, nil
	}))
	s.handler = s.Console.Handler()
	return s, there, said
}

// TestNetworkPage: a machine that is no appliance, one that is; owners set up an interface and leave the others as they are, others look.
func TestNetworkPage(t *testing.T) {
	s, there, said := networkSite(t)
	const page = "/appliance/network"
	*there = api.Network{None: "this machine is no appliance <b>"}
	has(t, s.ask("anna", "GET", page, nil), 200, "this machine is no appliance &lt;b&gt;", "!Set up an interface")
	addr := netip.MustParsePrefix("192.0.2.7/24")
	*there = api.Network{Hostname: "mx.example.org", From: map[string]string{"hostname": "operator", "interfaces": "volume"}, Trouble: []string{"network-config:8: vlans <i> is left out"},
		DNS:   []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		Ports: []api.NetworkPort{{Name: "ens3", MAC: "52:54:00:00:00:01", Up: true, Addresses: []netip.Prefix{addr}}, {Name: "ens4", MAC: "52:54:00:00:00:02"}},
		Interfaces: []api.NetworkInterface{
			{MAC: "52:54:00:00:00:01", Addresses: []netip.Prefix{addr}, MTU: 1400, Routes: []api.NetworkRoute{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1")}, {To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.2")}}},
			{Name: "ens4", DHCP: "ipv4"}}}
	has(t, s.ask("anna", "GET", page, nil), 200, "52:54:00:00:00:01", "vlans &lt;i&gt;", `value="192.0.2.7/24"`, `value="192.0.2.1"`, `value="192.0.2.53"`, `<option value="static" selected>`, "for 3 minutes", "!Keep them")
	has(t, s.ask("code", "GET", page, nil), 200, "192.0.2.7/24", "!Set up an interface", "!Host name")
	has(t, s.ask("helper", "GET", page, nil), 403)
	for _, path := range []string{page, page + "/confirm", "/appliance/name"} {
		has(t, s.ask("code", "POST", path, formOf("code")), 403)
	}
	set := func(fields ...string) (code int, to string) {
		*said = nil
		w := s.ask("anna", "POST", page, formOf("anna", fields...))
		return w.Code, w.Header().Get("Location")
	}
	for want, fields := range map[string][]string{
		`{"dns":["192.0.2.53"],"hostname":"mx.example.org","interfaces":[{"addresses":["192.0.2.8/24","2001:db8::8/64"],"mtu":1400,"name":"ens3","refuse_ra":false,"routes":[{"to":"default","via":"192.0.2.1"},{"to":"10.0.0.0/8","via":"192.0.2.2"}]},{"name":"ens4","dhcp":"ipv4"}],"ntp":[]} 3m0s`: {"port", "ens3", "method", "static", "addresses", "192.0.2.8/24, 2001:db8::8/64", "routers", "192.0.2.1", "resolvers", "192.0.2.53"},
		`"interfaces":[{"dhcp":"yes","mtu":1400,"name":"ens3","refuse_ra":false},{"name":"ens4","dhcp":"ipv4"}],"ntp":["a.example","b.example"]} 3m0s`:                                                                                                                                                 {"port", "ens3", "method", "dhcp", "addresses", "192.0.2.8/24", "clocks", "a.example b.example"},
		`{"addresses":["\u003ci\u003e\"]\\n"],"name":"ens4"`: {"port", "ens4", "method", "static", "addresses", `<i>"]\n`},
	} {
		code, to := set(fields...)
		if code != 303 || to != page || len(*said) != 1 || !strings.Contains((*said)[0], want) {
			t.Errorf("%v: %d %s %q\nwant %s", fields, code, to, *said, want)
		}
	}
	for want, fields := range map[string][]string{
		"an address is needed":       {"port", "ens3", "method", "static"},
		"there is no such interface": {"port", "ens9", "method", "static"},
		"bad&lt;i&gt;&#34; is none":  {"port", "ens3", "method", "static", "addresses", "bad<i>"},
		`value="bad&lt;i&gt;"`:       {"port", "ens3", "method", "static", "addresses", "bad<i>"},
	} {
		w := s.ask("anna", "POST", page, formOf("anna", fields...))
		if w.Code < 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%v: %d, no %q", fields, w.Code, want)
		}
	}
	until := time.Now().Add(time.Minute)
	there.Until, *said = &until, nil
	has(t, s.ask("anna", "GET", page, nil), 200, "Keep them", "on trial until")
	has(t, s.ask("code", "GET", page, nil), 200, "!Keep them", "on trial until")
	if w := s.ask("anna", "POST", page+"/confirm", formOf("anna")); w.Code != 303 || len(*said) != 1 || (*said)[0] != "confirm" {
		t.Errorf("%d %q", w.Code, *said)
	}
	if w := s.ask("anna", "POST", "/appliance/name", formOf("anna", "hostname", " mx2.example.org ")); w.Code != 303 || w.Header().Get("Location") != page || (*said)[1] != "name mx2.example.org" {
		t.Errorf("%d %q", w.Code, *said)
	}
}

// TestNameInTheFirstRun: on an appliance the wizard names the machine; elsewhere it says which file to write.
func TestNameInTheFirstRun(t *testing.T) {
	s, _, _ := beginSite(t, "")
	n := &api.Network{None: "this machine is no appliance"}
	s.Surface.Operations = append(s.Surface.Operations, control.Define(control.Look("appliance network", "/appliance/network", "Show it", access.SystemRead),
		func(context.Context, *struct{}) (*api.Network, error) { return n, nil }))
	s.handler = s.Console.Handler()
	const path = "/begin?step=host"
	has(t, s.ask("anna", "GET", path, nil), 200, "cannot be changed here", "!Set the name")
	n = &api.Network{Hostname: "gatepost"}
	has(t, s.ask("anna", "GET", path, nil), 200, "!cannot be changed here", "Set the name", `action="/appliance/name"`, `href="/appliance/network"`)
}
