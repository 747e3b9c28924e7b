// Package screen is what the appliance shows at its console, on a monitor and on a serial line: where it is reached, by which certificate
// it is known, and while nobody owns it the code by which the first owner comes in. There is no login, and nothing is read from there:
// whoever stands at the machine sees this and can do nothing.
package screen

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// width is what every terminal has (VT100), and room what a screen may hold of lists.
const (
	width = 78
	room  = 6
)

// State is what is shown. What is empty is not known, or not there.
type State struct {
	Host, Version string
	Addresses     []netip.Addr // by which others reach this machine
	Port          uint16       // of the console; 0: it has none that others reach
	Fingerprint   string       // SHA-256 of the console's certificate, in hexadecimal digits
	SSH           uint16       // port of SSH that others reach; 0 for none
	SSHKey        string       // by which clients of SSH know this machine: SHA256:...
	Code          string       // of the first owner, while there is none
	Owned         bool         // there is an owner
	Running       bool         // the daemon answers
	Trouble       []string     // what is wrong with the settings of the network
}

// Draw makes the screen, of lines of US-ASCII that end in CR LF, after the sequence that clears it (ECMA-48). What others wrote, names
// and troubles, moves no cursor.
func (s *State) Draw() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		text := plain(fmt.Sprintf(format, args...))
		b.WriteString(text[:min(len(text), width)] + "\r\n")
	}
	b.WriteString("\x1b[H\x1b[2J")
	line("Gatepost %s   %s", s.Version, s.Host)
	line("")
	switch {
	case len(s.Addresses) == 0:
		line("There is no network address yet.")
	case s.Port == 0:
		line("The console is not reachable from other machines ([web] console).")
		for _, a := range s.shown() {
			line("  %s", a)
		}
	default:
		line("Open one of these in a browser:")
		for _, a := range s.shown() {
			line("  https://%s/", netip.AddrPortFrom(a, s.Port))
		}
	}
	if s.Fingerprint != "" {
		line("")
		line("The browser must show this certificate (SHA-256):")
		for part := range slices.Chunk([]byte(strings.ToUpper(s.Fingerprint)), 32) {
			line("  %s", pairs(part))
		}
	}
	if s.SSH != 0 && s.SSHKey != "" {
		line("")
		line("SSH, for users with a key, at port %d. It must show:", s.SSH)
		line("  %s", s.SSHKey)
	}
	line("")
	switch {
	case !s.Running:
		line("The gateway is starting, or does not answer.")
	case s.Code != "":
		line("Nobody owns this gateway yet. The first owner comes in by this code:")
		line("  %s", s.Code)
	case s.Owned:
		line("It has an owner. There is no login here.")
	}
	for _, t := range s.Trouble[:min(len(s.Trouble), room)] {
		line("")
		line("! %s", t)
	}
	return b.String()
}

// shown are the first addresses, those of IPv4 before the others.
func (s *State) shown() []netip.Addr {
	list := slices.Clone(s.Addresses)
	slices.SortFunc(list, netip.Addr.Compare)
	return list[:min(len(list), room)]
}

// pairs writes digits as fingerprints are written: in pairs with colons.
func pairs(digits []byte) string {
	var out []string
	for p := range slices.Chunk(digits, 2) {
		out = append(out, string(p))
	}
	return strings.Join(out, ":")
}

func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
