package relay

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// Forward is how a next hop is told whom a message came from, where it offers that (Postfix's XCLIENT_README and
// XFORWARD_README). Both are for next hops that trust this host.
type Forward uint8

// The ways.
const (
	ForwardNone Forward = iota
	XForward            // for its log only
	XClient             // it takes the session for one of that client, with all its rules
)

func (f Forward) String() string { return [...]string{"none", "xforward", "xclient"}[min(f, XClient)] }

// Bounds of the protocol.
const (
	maxAttribute = 255 // octets, encoded
	maxForward   = 500 // octets of a command
)

const unavailable = "[UNAVAILABLE]"

// attributes are the words of one or more commands that tell of the client, of those that are offered.
func attributes(offered []string, c gateway.Client, source bool) (words []string) {
	add := func(name, value string) {
		if !slices.Contains(offered, name) {
			return
		}
		if value = smtpwire.EncodeXtext(value); value == "" || len(value) > maxAttribute {
			value = unavailable
		}
		words = append(words, name+"="+value)
	}
	proto := "SMTP"
	if c.ESMTP {
		proto = "ESMTP"
	}
	add("NAME", c.Name)
	add("ADDR", addressAttribute(c.Address.Addr()))
	add("PORT", strconv.Itoa(int(c.Address.Port())))
	add("PROTO", proto)
	add("HELO", c.Helo)
	if source {
		add("SOURCE", "REMOTE")
	}
	return words
}

// addressAttribute writes an address as both protocols do.
func addressAttribute(a netip.Addr) string {
	switch a = a.Unmap().WithZone(""); {
	case !a.IsValid():
		return ""
	case a.Is4():
		return a.String()
	}
	return "IPV6:" + a.String()
}

// commandsOf lays words into as few commands as their length allows.
func commandsOf(verb string, words []string) (commands []string) {
	line := verb
	for _, w := range words {
		if line != verb && len(line)+1+len(w) > maxForward {
			commands, line = append(commands, line), verb
		}
		line += " " + w
	}
	if line != verb {
		commands = append(commands, line)
	}
	return commands
}

// errStuck says that a session is that of one client for ever.
var errStuck = errors.New("next hop takes the session for that of another client")

// stuck reports whether the session is another client's and cannot be anybody else's any more: Postfix offers XCLIENT to
// whom it takes us for, and that client may not use it. Such a connection carries one message.
func (c *conn) stuck() bool { return c.as != "" && len(c.offer.xclient) == 0 }

// introduce tells the next hop whom the message comes from, as the route says and the next hop offers. Without a client,
// as for a question of our own, it is we.
func (c *conn) introduce(client gateway.Client) (a attempt, ok bool) {
	if c.hop.forward == ForwardNone {
		return a, true
	}
	known := client.Address.IsValid()
	switch {
	case c.stuck(): // put has closed it
		a = broken(atEHLO, errStuck)
		a.stale = true
		return a, false
	case c.hop.forward == XClient && len(c.offer.xclient) > 0 && (known || c.as != ""):
		if !known {
			client = c.ourselves()
		}
		return c.become(attributes(c.offer.xclient, client, false), client.Helo)
	case c.hop.forward == XForward && len(c.offer.xforward) > 0 && known:
		return c.tell(attributes(c.offer.xforward, client, true))
	}
	return a, true
}

// ourselves is this end of the connection.
func (c *conn) ourselves() gateway.Client {
	out := gateway.Client{Name: c.hop.hostname, Helo: c.hop.hostname, ESMTP: true}
	if a, ok := c.socket.LocalAddr().(*net.TCPAddr); ok {
		out.Address = a.AddrPort()
	}
	return out
}

// become makes the session one of another client: a new banner, and an EHLO in that client's name. The connection stays so
// until the next time.
func (c *conn) become(words []string, helo string) (a attempt, ok bool) {
	as := strings.Join(words, " ")
	if as == c.as {
		return a, true
	}
	for i, command := range commandsOf("XCLIENT", words) {
		c.as = "in between" // whatever comes of it, it is not whom it was
		r, err := c.ask(command)
		switch {
		case err != nil:
			a = broken(atEHLO, err)
			a.stale = i == 0
			return a, false
		case r.Is(421) && i == 0:
			a = refusal(atEHLO, r)
			a.stale = true
			return a, false
		case !r.Is(220):
			return broken(atEHLO, unexpected(atEHLO, r)), false
		}
	}
	if helo == "" || len(helo) > maxAttribute || !plain(helo) || !ascii(helo) {
		helo = c.hop.hostname
	}
	if err := c.hello(helo); err != nil {
		return broken(atEHLO, err), false
	}
	c.as = as
	return a, true
}

// tell gives the next hop something for its log. What it does not want to know it is not told; that is no fault.
func (c *conn) tell(words []string) (a attempt, ok bool) {
	for i, command := range commandsOf("XFORWARD", words) {
		r, err := c.ask(command)
		if err == nil && !r.Is(421) {
			continue
		}
		if err != nil {
			a = broken(atEHLO, err)
		} else {
			a = refusal(atEHLO, r)
		}
		a.stale = i == 0
		return a, false
	}
	return a, true
}
