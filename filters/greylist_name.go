package filters

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/dmarc"
)

// A reverse name tells who runs a host only where its owner chose it. A provider gives each of its addresses one, from the
// address or with a word for what the line is; and hosts of its customers have names below its own domain.

// mailWords begin the names of hosts that somebody made for mail, whatever stands behind them.
var mailWords = [...]string{"mail", "smtp", "mx", "mta", "mout", "out", "relay", "post"}

// lineWords stand in names of addresses that change hands, or of customers' lines.
var lineWords = [...]string{"adsl", "broadband", "cable", "catv", "client", "clients", "cust", "customer", "customers", "dhcp", "dial",
	"dialin", "dialup", "dsl", "dyn", "dynamic", "dynip", "fiber", "ftth", "fttx", "gprs", "home", "hsd", "lte", "mobile", "modem",
	"pool", "pools", "ppp", "pppoe", "residential", "sdsl", "subscriber", "subscribers", "umts", "user", "users", "vdsl", "wifi",
	"wireless", "wlan", "xdsl"}

// rentWords stand in names that providers give to machines for rent.
var rentWords = [...]string{"cloud", "colo", "compute", "ded", "dedi", "dedicated", "droplet", "host", "hosted", "hosting", "instance",
	"kvm", "node", "ns", "rent", "server", "srv", "static", "unassigned", "vds", "vm", "vps", "vserver", "web"}

// rentOrgs are organizations below whose domain machines for rent, or customers' lines, have names. The public suffix list
// has more of them: there each such name is an organization of its own, which vouches for nobody else.
var rentOrgs = [...]string{"choopa.net", "clouvider.net", "colocrossing.com", "contabo.net", "contaboserver.net",
	"digitalocean.com", "dreamhost.com", "fastwebserver.de", "hetzner.com", "hostinger.com", "hostwindsdns.com",
	"hstgr.cloud", "kimsufi.com", "leaseweb.com", "leaseweb.net", "linode.com", "m247.com", "netcup.net",
	"onlinehome-server.com", "onlinehome-server.info", "ovh.ca", "ovh.net", "ovh.us", "poneytelecom.eu", "psychz.net",
	"quadranet.com", "racknerd.com", "scaleway.com", "secureserver.net", "serverprofi24.com", "softlayer.com",
	"stratoserver.net", "unifiedlayer.com", "vultr.com", "worldstream.nl", "your-server.de", "yourvserver.net"}

// GenericName reports whether a reverse name looks like one that a provider made for an address, or for the customers'
// lines: at least three of the four octets of an IPv4 address stand in it, or half of the digits of an IPv6 one; or a word
// such as "dynamic". A name that begins with one for mail is none.
func GenericName(name string, a netip.Addr) bool {
	label, _, _ := strings.Cut(name, ".")
	if beginsWith(label, mailWords[:]) {
		return false
	}
	own := ownPart(name)
	return hasAddress(own, a.Unmap()) || hasWord(own, lineWords[:])
}

// rented reports whether a host may be one of a provider's customers', so that its name says nothing of who runs it.
func rented(name string) bool {
	label, _, _ := strings.Cut(name, ".")
	return slices.Contains(rentOrgs[:], dmarc.Registered(name)) && !beginsWith(label, mailWords[:]) || hasWord(ownPart(name), rentWords[:])
}

// ownPart is a name without the domain of its organization.
func ownPart(name string) string {
	org := dmarc.Registered(name)
	return strings.TrimSuffix(strings.TrimSuffix(name, org), ".")
}

func beginsWith(label string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(label, w) })
}

// hasWord reports whether one of the runs of letters of a name is one of the words.
func hasWord(name string, words []string) bool {
	for word := range strings.FieldsFuncSeq(name, func(c rune) bool { return c < 'a' || c > 'z' }) {
		if slices.Contains(words, word) {
			return true
		}
	}
	return false
}

// hasAddress reports whether an address stands in a name.
func hasAddress(name string, a netip.Addr) bool {
	if !a.Is4() {
		return hasAddress6(name, a)
	}
	octets, hex, padded := a.As4(), "", ""
	for _, o := range octets {
		hex += pad(strconv.FormatUint(uint64(o), 16), 2)
		padded += pad(strconv.Itoa(int(o)), 3)
	}
	if strings.Contains(name, hex) || strings.Contains(name, padded) {
		return true
	}
	left := octets[:]
	for run := range strings.FieldsFuncSeq(name, func(c rune) bool { return c < '0' || c > '9' }) {
		n, err := strconv.ParseUint(run, 10, 8)
		if i := slices.Index(left, byte(n)); err == nil && i >= 0 {
			left = slices.Delete(slices.Clone(left), i, i+1)
		}
	}
	return len(left) <= 1
}

// hasAddress6 looks for the half of an address: its network, or its host.
func hasAddress6(name string, a netip.Addr) bool {
	if !a.Is6() {
		return false
	}
	text, digits := strings.ReplaceAll(a.StringExpanded(), ":", ""), make([]byte, 0, len(name))
	for i := range len(name) {
		if c := name[i]; '0' <= c && c <= '9' || 'a' <= c && c <= 'f' {
			digits = append(digits, c)
		}
	}
	return len(text) == 32 && (strings.Contains(string(digits), text[:16]) || strings.Contains(string(digits), text[16:]))
}

func pad(s string, n int) string { return strings.Repeat("0", n-len(s)) + s }
