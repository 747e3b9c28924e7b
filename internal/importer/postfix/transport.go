package postfix

import (
	"net/netip"
	"strconv"
	"strings"
)

// Transport is where mail goes: "smtp:[mail.example.org]:25" (transport(5)).
type Transport struct {
	Channel string // the service of master.cf: "smtp", "relay", "lmtp", "error"; "" keeps the one in force
	Text    string // the next hop as written; "" for the recipient's domain
	Hops    []Hop
}

// Hop is one next hop of smtp(8) or lmtp(8).
type Hop struct {
	Host string // name or IP address; "" with Unix
	Port int    // 0: the usual one of the channel
	MX   bool   // the host is a domain, and its MX is looked up
	Unix string // path of a socket
}

// ParseTransport reads the right-hand side of a transport table, or the value of relay_transport and the like.
func ParseTransport(text string) Transport {
	text = strings.TrimSpace(text)
	channel, next, _ := strings.Cut(text, ":")
	t := Transport{Channel: strings.TrimSpace(channel), Text: strings.TrimSpace(next)}
	if t.Channel == "error" || t.Channel == "retry" || t.Channel == "discard" {
		return t
	}
	t.Hops = ParseHops(t.Text)
	return t
}

// ParseHops reads next hops of smtp(8): [host]:port, domain:port, IPv6 in [ipv6:...] or without that word, unix:path and
// inet:host:port; several with commas between (Postfix 3.5). What cannot be read is a hop without a host.
func ParseHops(text string) (out []Hop) {
	for _, w := range words(text, ", \t") {
		out = append(out, parseHop(w))
	}
	return out
}

func parseHop(text string) (h Hop) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return Hop{Unix: path}
	}
	text, inet := strings.CutPrefix(text, "inet:")
	port := ""
	if strings.HasPrefix(text, "[") {
		host, rest, ok := strings.Cut(text[1:], "]")
		if !ok {
			return Hop{}
		}
		h.Host, port = host, strings.TrimPrefix(rest, ":")
	} else {
		h.Host, port, _ = strings.Cut(text, ":")
		h.MX = !inet
	}
	if len(h.Host) > 5 && strings.EqualFold(h.Host[:5], "ipv6:") {
		h.Host = h.Host[5:]
	}
	h.Host = strings.ToLower(strings.TrimSuffix(h.Host, "."))
	if a, err := netip.ParseAddr(h.Host); err == nil {
		h.Host, h.MX = a.Unmap().String(), false
	}
	switch port {
	case "":
	case "smtp":
		h.Port = 25
	case "lmtp":
		h.Port = 24
	case "submission":
		h.Port = 587
	case "smtps", "submissions":
		h.Port = 465
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Hop{}
		}
		h.Port = int(n)
	}
	return h
}

// Route is what Postfix's transport tables say of an address, and where.
type Route struct {
	Transport
	At Place
}

// RouteOf looks an address up as trivial-rewrite(8) does: user+extension@domain, user@domain, domain, .parent and "*". The
// domain's own class (relay_transport and the like) is not looked at. ok is false where no table has it; err is why a table
// that is asked first is not known.
func (c *Config) RouteOf(user, domain string) (r Route, ok bool, err error) {
	keys := []string{}
	if user != "" {
		keys = append(keys, user+"@"+domain)
		if d := c.Value("recipient_delimiter"); d != "" {
			if i := strings.IndexAny(user, d); i > 0 {
				keys = append(keys, user[:i]+"@"+domain)
			}
		}
	}
	keys = append(keys, domain)
	rest := domain
	for strings.Contains(rest, ".") {
		_, rest, _ = strings.Cut(rest, ".")
		if c.Matches("transport_maps") {
			keys = append(keys, rest)
		} else {
			keys = append(keys, "."+rest)
		}
	}
	keys = append(keys, "*")
	tables := c.Tables("transport_maps")
	for _, key := range keys {
		for _, t := range tables {
			if t.Err != nil {
				err = t.Err
				continue
			}
			if t.Kind == Regexp && key == domain { // expressions see the whole address, once (transport(5))
				continue
			}
			if t.Kind == Regexp && (user == "" || key != user+"@"+domain) {
				continue
			}
			if e, found := t.Lookup(key); found && !strings.Contains(e.Value, "$") {
				return Route{ParseTransport(e.Value), e.At}, true, err
			}
		}
	}
	return Route{}, false, err
}
