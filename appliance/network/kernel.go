package network

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxLine bounds a kernel's command line, in octets.
const maxLine = 4096

// ReadKernel reads the network settings of a kernel's command line: ip= and nameserver= as dracut.cmdline(7) has them (of ip= the forms with
// a method, and that of the kernel with its servers), and systemd.hostname=. All other words are others'.
func ReadKernel(file, line string) (*Settings, error) {
	r := &reader{checker: checker{file: file}}
	s := new(Settings)
	if len(line) > maxLine {
		r.wrong(0, "", "", "it is longer than %d octets", maxLine)
		return r.done(s)
	}
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "ip":
			r.kernelIP(s, value)
		case "nameserver":
			if a, err := netip.ParseAddr(strings.Trim(value, "[]")); err == nil {
				s.DNS = append(s.DNS, a)
			} else {
				r.wrong(0, key, "write an address", "%.80q is none", value)
			}
		case "systemd.hostname":
			name, why := hostname(value)
			if why != "" {
				r.wrong(0, key, exampleHost, "%s", why)
			}
			s.Hostname = name
		}
	}
	unique(s)
	return r.done(s)
}

// fields cuts at colons, but not within brackets.
func fields(text string) (out []string) {
	depth, begin := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ':':
			if depth == 0 {
				out, begin = append(out, text[begin:i]), i+1
			}
		}
	}
	return append(out, text[begin:])
}

const ipForm = "write ip=dhcp, ip=INTERFACE:dhcp or ip=ADDRESS::GATEWAY:NETMASK:HOSTNAME:INTERFACE:none, with brackets around IPv6"

// kernelIP reads one ip=.
func (r *reader) kernelIP(s *Settings, text string) {
	f := fields(text)
	method := func(word string) (string, bool) {
		switch word {
		case "dhcp", "on", "any", "dhcp4":
			return DHCPv4, true
		case "dhcp6":
			return DHCPv6, true
		case "auto6", "either6", "link6", "none", "off", "static", "":
			return DHCPNo, true
		}
		return "", false
	}
	if len(f) <= 2 {
		var x Interface
		if len(f) == 2 {
			x.Name = f[0]
		}
		var ok bool
		if x.DHCP, ok = method(f[len(f)-1]); !ok {
			r.wrong(0, "ip", ipForm, "%.80q is no method", f[len(f)-1])
			return
		}
		s.Interfaces = append(s.Interfaces, x)
		return
	}
	if len(f) < 6 || len(f) > 10 {
		r.wrong(0, "ip", ipForm, "%d fields", len(f))
		return
	}
	f = append(f, make([]string, 10-len(f))...)
	for i := range f {
		f[i] = strings.Trim(f[i], "[]")
	}
	dhcp, ok := method(f[6])
	if !ok {
		r.wrong(0, "ip", ipForm, "%.80q is no method", f[6])
		return
	}
	x := Interface{Name: f[5], DHCP: dhcp}
	if f[0] != "" {
		a, err := netip.ParseAddr(f[0])
		bits, masked := maskBits(f[3], a.Is4())
		if f[3] == "" && a.Is6() {
			bits, masked = 64, true
		}
		if err != nil || !masked {
			r.wrong(0, "ip", ipForm, "%.80q with the mask %.80q is no address", f[0], f[3])
			return
		}
		x.Addresses = []netip.Prefix{netip.PrefixFrom(a, bits)}
	}
	if f[2] != "" {
		via, err := netip.ParseAddr(f[2])
		if err != nil {
			r.wrong(0, "ip", ipForm, "%.80q is no gateway", f[2])
			return
		}
		x.Routes = []Route{Gateway(via)}
	}
	if f[4] != "" {
		name, why := hostname(f[4])
		if why != "" {
			r.wrong(0, "ip", exampleHost, "%s", why)
		}
		s.Hostname = name
	}
	r.kernelRest(s, &x, f[7:])
	s.Interfaces = append(s.Interfaces, x)
}

// kernelRest reads what stands behind the method: MTU and MAC address, or servers for names and, last, one for the time.
func (r *reader) kernelRest(s *Settings, x *Interface, rest []string) {
	if n, err := strconv.Atoi(rest[0]); err == nil {
		x.MTU = n
		if m, err := net.ParseMAC(strings.Join(rest[1:], "")); rest[1] != "" && err == nil {
			x.MAC, x.Name = m.String(), ""
		} else if rest[1] != "" {
			r.wrong(0, "ip", "write the MAC address with dashes, as 52-54-00-12-34-56", "%.40q is none", rest[1])
		}
		return
	}
	for _, text := range rest[:2] {
		if a, err := netip.ParseAddr(text); err == nil {
			s.DNS = append(s.DNS, a)
		} else if text != "" {
			r.wrong(0, "ip", ipForm, "%.80q is no server for names", text)
		}
	}
	if rest[2] != "" {
		s.NTP = append(s.NTP, rest[2])
	}
}
