package network

import (
	"strings"
	"testing"
)

// TestCloud reads network-config as programs that make such volumes write it.
func TestCloud(t *testing.T) {
	const static = "interfaces:\n    - mac: bc:24:11:01:02:03\n      addresses:\n        - 10.0.0.5/24\n      routes:\n        - to: 0.0.0.0/0\n          via: 10.0.0.1\n"
	for name, c := range map[string]struct{ text, want, notes string }{
		"version 1 of Proxmox": {text: `version: 1
config:
    - type: physical
      name: eth0
      mac_address: 'bc:24:11:01:02:03'
      subnets:
      - type: static
        address: '10.0.0.5'
        netmask: '255.255.255.0'
        gateway: '10.0.0.1'
    - type: nameserver
      address:
      - '10.0.0.53'
      search:
      - 'example.org'
`, want: "dns:\n    - 10.0.0.53\n" + static},
		"version 1 with more": {text: `network:
  version: 1
  config:
  - {type: bond, name: bond0, bond_interfaces: [eth0, eth1]}
  - type: physical
    name: ens3
    subnets:
    - {type: dhcp4}
    - {type: static6, address: "2001:db8::7/64", gateway: "2001:db8::1", dns_nameservers: ["2001:db8::53"], routes: [{destination: 10.0.0.0, netmask: 255.0.0.0, gateway: 192.0.2.1}]}
`, want: "dns:\n    - 2001:db8::53\ninterfaces:\n    - name: ens3\n      dhcp: ipv4\n      addresses:\n        - 2001:db8::7/64\n      routes:\n        - to: ::/0\n          via: 2001:db8::1\n        - to: 10.0.0.0/8\n          via: 192.0.2.1\n",
			notes: "network-config:4: config[0] (bond) is left out"},
		"version 2": {text: `network:
  version: 2
  renderer: networkd
  ethernets:
    any:
      match: {macaddress: 'BC:24:11:01:02:03', name: "en*"}
      set-name: eth0
      addresses: [10.0.0.5/24]
      routes: [{to: default, via: 10.0.0.1, metric: 100}]
      nameservers: {addresses: [10.0.0.53, 10.0.0.53], search: [example.org]}
`, want: "dns:\n    - 10.0.0.53\n" + static},
		"version 2, globs and DHCP": {text: "version: 2\nethernets: {all: {match: {name: 'en*'}, dhcp4: true, dhcp6: true, accept-ra: no}}", want: "interfaces:\n    - name: en*\n      dhcp: \"yes\"\n      refuse_ra: true\n"},
		"old gateways":              {text: "version: 2\nethernets: {eth0: {addresses: [10.0.0.5/24], gateway4: 10.0.0.1}}", want: strings.Replace(static, "mac: bc:24:11:01:02:03", "name: eth0", 1)},
		"vlans":                     {text: "version: 2\nvlans: {v: {id: 3, link: eth0}}", want: "{}\n", notes: "network-config:2: vlans is left out"},
		"nothing":                   {text: "", want: "{}\n"},
		"disabled":                  {text: "network: {config: disabled}", want: "{}\n"},
		"another version":           {text: "version: 3", want: "! network-config:1: version: no version that is known; write version: 2, or 1"},
		"a page":                    {text: "<html>", want: "! network-config:1: version: no version"},
		"tabs":                      {text: "version: 2\n\tethernets: {}", want: "! network-config: line 2: found a tab character"},
		"no network":                {text: "version: 2\nethernets:\n  eth0:\n    addresses: [10.0.0.5]", want: "! network-config:4: ethernets.eth0.addresses[0]: \"10.0.0.5\" is none"},
		"a gateway elsewhere":       {text: "version: 2\nethernets: {eth0: {addresses: [10.0.0.5/24], gateway4: 10.0.1.1}}", want: "! network-config: interfaces: eth0: routes: the router 10.0.1.1 is in no network"},
		"a driver":                  {text: "version: 2\nethernets: {e: {match: {driver: virtio}}}", want: "! network-config:2: ethernets.e.match.driver: interfaces are not told apart"},
		"no kind":                   {text: "version: 1\nconfig: [{name: eth0}]", want: "! network-config:2: config[0]: this has no type"},
		"an injection":              {text: "version: 2\nethernets: {\"eth0\\n[Network]\": {dhcp4: true}}", want: "! network-config: interfaces: eth0\n[Network]: \"eth0\\n[Network]\" is no name"},
	} {
		s, notes, err := ReadCloud("network-config", []byte(c.text))
		got := ""
		if err != nil {
			got = "! " + err.Error()
		} else if text, err := s.Text(); err == nil {
			got = string(text)
		}
		if got != c.want && (!strings.HasPrefix(c.want, "!") || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
		if !strings.HasPrefix(strings.Join(notes, "\n"), c.notes) || c.notes == "" && len(notes) > 0 {
			t.Errorf("%s: notes %q; want %q", name, notes, c.notes)
		}
	}
}

// TestMetaData reads names.
func TestMetaData(t *testing.T) {
	for text, want := range map[string]string{
		"instance-id: i-1\nlocal-hostname: mx.example.org\npublic-keys: {a: [b]}\n": "mx.example.org i-1",
		"hostname: mx.example.org": "mx.example.org ",
		"{\"instance-id\": \"i\", \"local-hostname\": \"mx.example.org\"}": "mx.example.org i",
		"":                      " ",
		"local-hostname: mx":    "! meta-data:1: local-hostname: \"mx\" is not fully qualified; write a fully qualified name, as mx.example.org",
		"\nlocal-hostname: a b": "! meta-data:2: local-hostname: \"a b\" is no name of a host; write a fully qualified name, as mx.example.org",
		"x":                     "! meta-data:1: this is no mapping; write keys with values",
	} {
		host, id, err := ReadMetaData("meta-data", []byte(text))
		got := host + " " + id
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("%q: %s; want %s", text, got, want)
		}
	}
}

// FuzzSettings: whatever a reader takes is checked, and is the same when it was written and read again; nothing that is rendered
// has a line that is not ours.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("network: {version: 2, ethernets: {eth0: {match: {name: 'en*'}, dhcp4: true, addresses: [10.0.0.5/24, '::1/64'], gateway4: 10.0.0.1}}}"))
	f.Add([]byte("version: 1\nconfig: [{type: physical, name: a, subnets: [{type: static, address: 10.0.0.5, netmask: 255.0.0.0}]}]"))
	f.Add([]byte("ip=192.0.2.7::192.0.2.1:255.255.255.0:mx.example.org:eth0:none:1500:52-54-00-12-34-56"))
	f.Add([]byte("a: &a [*a, *a]\nb: !!binary x\n? [x]\n: y"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var all []*Settings
		own, _ := Read("x", in)
		cloud, _, _ := ReadCloud("x", in)
		kernel, _ := ReadKernel("x", string(in))
		host, _, _ := ReadMetaData("x", in)
		for _, s := range append(all, own, cloud, kernel, &Settings{Hostname: host}) {
			if s == nil {
				continue
			}
			if err := s.Check("x"); err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
			text, err := s.Text()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := Read("x", text); err != nil {
				t.Fatalf("%v\n%s", err, text)
			} else if second, err := again.Text(); err != nil || string(second) != string(text) {
				t.Fatalf("%v: %s\nbecame\n%s", err, text, second)
			}
			for name, text := range s.Render() {
				for line := range strings.Lines(text) {
					if strings.HasPrefix(line, "[") && !strings.Contains("[Match] [Link] [Network] [Route] [DHCPv4] [DHCPv6] [IPv6AcceptRA]", strings.TrimSpace(line)) ||
						strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
						t.Fatalf("%s: %q", name, text)
					}
				}
			}
		}
	})
}
