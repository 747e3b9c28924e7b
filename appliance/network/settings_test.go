package network

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const whole = `# what an operator saved
hostname: MX.example.org.
dns: [192.0.2.53, "2001:db8::53"]
ntp: [ntp.example.org, 192.0.2.123]
interfaces:
  - name: eth0
    addresses: [192.0.2.7/24, "2001:db8::7/64"]
    routes:
      - {to: default, via: 192.0.2.1}
      - {to: default, via: "fe80::1"}
      - {to: 198.51.100.0/24, via: 203.0.113.1, on_link: true}
    mtu: 1400
    refuse_ra: true
  - mac: 52:54:00:12:34:56
    dhcp: yes
`

// TestRead reads what it writes.
func TestRead(t *testing.T) {
	s, err := Read("settings.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read("settings.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	second, err := again.Text()
	if err != nil || string(second) != string(text) {
		t.Errorf("%v: %s\nbecame\n%s", err, text, second)
	}
	if s.Hostname != "mx.example.org" || s.Interfaces[0].Routes[1].To.String() != "::/0" || s.Interfaces[1].DHCP != DHCPYes {
		t.Errorf("%+v", s)
	}
	if s, err := Read("settings.yaml", nil); err != nil || s == nil {
		t.Errorf("nothing: %v, %v", s, err)
	}
}

// TestFaults shows that what is wrong is told with its place, and what to write.
func TestFaults(t *testing.T) {
	one := func(lines string) string { return "interfaces:\n- name: eth0\n  " + lines }
	for text, want := range map[string]string{
		"hostname: mx":                                "s:1: hostname: \"mx\" is not fully qualified; write a fully",
		"\n\nhostname: -x.example.org":                "s:3: hostname: ",
		"hostname: 192.0.2.1":                         "is no name of a host",
		"hostname: " + strings.Repeat("a.", 40) + "a": "at most 64",
		"hostname: [a]":                               "s:1: hostname: a word is needed",
		"hostname: *x":                                "unknown anchor",
		"host: x":                                     "s:1: host: there is no such key",
		"dns: [127.0.0.1]":                            "dns[0]: \"127.0.0.1\" is this host itself",
		"dns: [a]":                                    "dns[0]: \"a\"",
		"dns: [1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1]": "9 entries, at most 8",
		"ntp: [\"a b\"]":                   "no server",
		"dns: {a: b}":                      "no list",
		"- a":                              "no mapping",
		"a: b: c":                          "mapping values are not allowed",
		"hostname: a.b\nhostname: c.d":     "it stands here twice",
		"x: &a [*a]":                       "no such key",
		one("addresses: [192.0.2.0/24]"):   "is the network itself",
		one("addresses: [192.0.2.255/24]"): "is the broadcast address",
		one("addresses: [192.0.2.7]"):      "s:3: interfaces[0].addresses[0]: \"192.0.2.7\" is none; write an address with the length",
		one("addresses: [192.0.2.7/24]\n  routes: [{via: 192.0.3.1}]"):                 "the router 192.0.3.1 is in no network",
		one("addresses: [192.0.2.7/24]\n  routes: [{via: 192.0.2.7}]"):                 "is this host itself",
		one("addresses: [192.0.2.7/24]\n  routes: [{to: 10.0.0.1/8, via: 192.0.2.1}]"): "that is 10.0.0.0/8",
		one("addresses: [192.0.2.7/24]\n  routes: [{to: default}]"):                    "a route needs",
		one("addresses: [192.0.2.7/24]\n  routes: [{via: 192.0.2.1, metric: 3}]"):      "metric: there is no such key",
		one("routes: [{to: 10.0.0.0/8, via: \"fe80::1\"}]"):                            "different families",
		one("dhcp: maybe"): "no kind of DHCP",
		one("mtu: 100"):    "not between",
		one("mtu: x"):      "no number",
		one("mac: 52"):     "no MAC address",
		"interfaces: [{name: \"a b\", dhcp: yes}]":                "no name of an interface",
		"interfaces: [{name: \"a\\n[Network]\", dhcp: yes}]":      "no name of an interface",
		"interfaces: [{name: a, dhcp: yes}, {name: a, dhcp: no}]": "a is set up twice",
		"interfaces: [{dhcp: yes}, {name: a, dhcp: no}]":          "every wired interface, and others are named",
		"interfaces: [{name: a, refuse_ra: true}]":                "no address at all",
		"# " + strings.Repeat("x", MaxFile):                       "larger than",
	} {
		s, err := Read("s", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200q: %+v, %v; want %q", text, s, err, want)
		}
	}
}

// TestRender shows each form that a setting takes.
func TestRender(t *testing.T) {
	s, err := Read("settings.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	files := s.Render()
	if want := `# By gatepost appliance network; written anew at each start.
[Match]
Name=eth0
Type=ether
Kind=!*

[Link]
MTUBytes=1400

[Network]
DHCP=no
IPv6AcceptRA=no
Address=192.0.2.7/24
Address=2001:db8::7/64

[Route]
Destination=0.0.0.0/0
Gateway=192.0.2.1

[Route]
Destination=::/0
Gateway=fe80::1

[Route]
Destination=198.51.100.0/24
Gateway=203.0.113.1
GatewayOnLink=yes

[DHCPv4]
UseDNS=no
UseHostname=no

[DHCPv6]
UseDNS=no
UseHostname=no

[IPv6AcceptRA]
UseDNS=no
`; files["systemd/network/50-gatepost-00.network"] != want {
		t.Errorf("%s", files["systemd/network/50-gatepost-00.network"])
	}
	if got := files["systemd/network/50-gatepost-01.network"]; !strings.Contains(got, "[Match]\nMACAddress=52:54:00:12:34:56\nType=ether") || !strings.Contains(got, "DHCP=yes\nIPv6AcceptRA=yes") {
		t.Errorf("%s", got)
	}
	if got := files[clock]; got != "server ntp.example.org iburst\nserver 192.0.2.123 iburst\n" {
		t.Errorf("%s", got)
	}
	if len(files) != 4 {
		t.Errorf("%d files", len(files))
	}
	conf := filepath.Join(t.TempDir(), "unbound.conf")
	put(t, conf, "server:\n\tchroot: \"\"\n\tusername: \"\"\n\tdirectory: \"/\"\n"+files[resolver])
	out, err := exec.CommandContext(t.Context(), "unbound-checkconf", conf).CombinedOutput()
	if err != nil {
		t.Errorf("unbound: %v (scripts/install installs it)\n%s", err, out)
	}
}

// TestKernel reads the forms of the kernel's command line.
func TestKernel(t *testing.T) {
	for line, want := range map[string]string{
		"quiet ip=dhcp root=x": "interfaces:\n    - dhcp: ipv4\n",
		"ip=eth1:dhcp6":        "interfaces:\n    - name: eth1\n      dhcp: ipv6\n",
		"ip=192.0.2.7::192.0.2.1:255.255.255.0:mx.example.org:eth0:none nameserver=192.0.2.53 nameserver=192.0.2.53": "hostname: mx.example.org\ndns:\n    - 192.0.2.53\ninterfaces:\n    - name: eth0\n      dhcp: \"no\"\n      addresses:\n        - 192.0.2.7/24\n      routes:\n        - to: 0.0.0.0/0\n          via: 192.0.2.1\n",
		"ip=[2001:db8::7]::[2001:db8::1]:64::eth0:none:1400:52-54-00-12-34-56":                                       "interfaces:\n    - mac: \"52:54:00:12:34:56\"\n      dhcp: \"no\"\n      addresses:\n        - 2001:db8::7/64\n      routes:\n        - to: ::/0\n          via: 2001:db8::1\n      mtu: 1400\n",
		"ip=192.0.2.7:::24::eth0:off:192.0.2.53::192.0.2.123":                                                        "dns:\n    - 192.0.2.53\nntp:\n    - 192.0.2.123\ninterfaces:\n    - name: eth0\n      dhcp: \"no\"\n      addresses:\n        - 192.0.2.7/24\n",
		"systemd.hostname=mx.example.org gatepost.version=1":                                                         "hostname: mx.example.org\n",
		"":                                      "{}\n",
		"ip=192.0.2.7":                          "! kernel line: ip: \"192.0.2.7\" is no method; write ip=dhcp",
		"ip=192.0.2.7::::::":                    "! kernel line: ip: \"192.0.2.7\" with the mask \"\" is no address",
		"ip=192.0.2.7::192.0.3.1:24::eth0:none": "! kernel line: interfaces: eth0: routes: the router 192.0.3.1 is in no network",
		"ip=a:b:c":                              "! kernel line: ip: 3 fields",
		"ip=192.0.2.7:::255.0.255.0::eth0:none": "! kernel line: ip: \"192.0.2.7\" with the mask",
		"nameserver=x":                          "! kernel line: nameserver: \"x\" is none",
		"systemd.hostname=gatepost":             "! kernel line: systemd.hostname: \"gatepost\" is not fully",
		strings.Repeat("x", 5000):               "! kernel line: it is longer",
	} {
		s, err := ReadKernel("kernel line", line)
		got := ""
		if err != nil {
			got = "! " + err.Error()
		} else if text, err := s.Text(); err == nil {
			got = string(text)
		}
		if got != want && (!strings.HasPrefix(want, "!") || !strings.HasPrefix(got, want)) {
			t.Errorf("%.200s:\n%s\nwant\n%s", line, got, want)
		}
	}
}
