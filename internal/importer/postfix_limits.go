package importer

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/importer/postfix"
)

// trusted are the networks of our own.
func (m *postfixImport) trusted() {
	p, set := m.get("mynetworks")
	m.seen["mynetworks_style"] = true
	if !set {
		m.changed("main.cf", "mynetworks is not set", "trusted.networks = loopback", "Postfix takes the networks of this machine's interfaces (mynetworks_style), which a configuration does not tell", "write the networks of your own in [trusted]")
		return
	}
	var in, out []netip.Prefix
	for _, i := range m.c.List("mynetworks") {
		all := []postfix.Entry{{Key: i.Text, At: i.At}}
		if i.Table != nil {
			all = i.Table.Entries
			if i.Table.Err != nil {
				m.leave(i.At.String(), "mynetworks: "+i.Text, "cannot be read: "+i.Table.Why(), "write its networks in [trusted]")
				continue
			}
		}
		for _, e := range all {
			n, ok := network(e.Key)
			switch {
			case !ok:
				m.leave(e.At.String(), "mynetworks: "+e.Key, "is no network of somebody's own", "")
			case i.Not || e.Not:
				out = append(out, n)
			default:
				in = append(in, n)
			}
		}
	}
	var shown []string
	for _, n := range in {
		if hit := slices.IndexFunc(out, n.Overlaps); hit >= 0 {
			m.leave(p.At.String(), "mynetworks: "+n.String(), "without "+out[hit].String()+", and trusted.networks takes nothing out", "write the networks that are left in [trusted]")
			continue
		}
		shown = unique(shown, n.String())
	}
	if len(shown) == 0 {
		return
	}
	m.Policy.table("trusted").set("networks", texts(shown), p.At.String())
	m.changed(p.At.String(), "mynetworks = "+strings.Join(shown, " "), "trusted.networks", "Postfix lets them relay and skips what stands behind permit_mynetworks; here they skip the wait, caps and rates, and no check, and may not relay", "let outbound mail go on through the old way, or straight through the internal mail server; allow networks that no check may refuse in checks.access.client")
}

// bound is one number of Postfix's that a key stands for.
type bound struct {
	name, key string
	low, high int // what the key takes
	none      int // what 0 becomes, where 0 is "no limit" there
	octets    bool
}

func (m *postfixImport) limits() {
	for _, b := range []bound{
		{"message_size_limit", "message_size", 64 << 10, 2 << 30, 2 << 30, true},
		{"header_size_limit", "header", 16 << 10, 4 << 20, 0, true},
		{"line_length_limit", "command_line", 512, 64 << 10, 0, true},
		{"hopcount_limit", "hops", 10, 1000, 0, false},
		{"smtpd_soft_error_limit", "slow_errors", 1, 1000, 0, false},
		{"smtpd_hard_error_limit", "errors", 1, 1000, 0, false},
		{"smtpd_junk_command_limit", "junk_commands", 10, 10000, 0, false},
		{"smtpd_client_connection_count_limit", "connections_per_client", 1, 1000, 1000, false},
	} {
		p, set := m.get(b.name)
		if !set {
			continue
		}
		n, err := strconv.Atoi(p.Value)
		if err != nil {
			m.leave(p.At.String(), written(p), "is no number", "")
			continue
		}
		m.limit(p.At.String(), written(p), b, n)
	}
	if _, set := m.get("message_size_limit"); !set {
		m.changed("main.cf", "message_size_limit is not set", "limits.message_size", "Postfix takes 10240000 octets; Gatepost 50M, or what the next hop and the scanners take", `write message_size = "10240000" in [limits] to keep it`)
	}
	m.inOrder()
	m.recipientLimit()
	m.times()
	m.rates()
}

// limit writes one number.
func (m *Draft) limit(where, what string, b bound, n int) {
	was, why := n, ""
	switch {
	case n == 0 && b.none > 0:
		n, why = b.none, "0 is no limit there; this is the most that the key takes"
	case n < b.low:
		n, why = b.low, "it is less than the key takes"
	case n > b.high:
		n, why = b.high, "it is more than the key takes"
	}
	value := number(n)
	if b.octets {
		value = text(value)
		if n >= 1<<20 && n%(1<<20) == 0 {
			value = text(number(n>>20) + "M")
		}
	}
	m.Policy.table("limits").set(b.key, value, where)
	if m.numbers == nil {
		m.numbers = map[string]int{}
	}
	m.numbers[b.key] = n
	became := "limits." + b.key + " = " + value
	if n == was {
		m.taken(where, what, became)
	} else {
		m.changed(where, what, became, why, "")
	}
}

// inOrder keeps limits that must not be more than others, also where one of them has its default.
func (m *Draft) inOrder() {
	t := m.Policy.table("limits")
	for _, o := range []struct {
		lower, higher string
		low, high     int // their defaults
		octets        bool
	}{{"header", "message_size", 256 << 10, 50 << 20, true}, {"slow_errors", "errors", 5, 15, false}} {
		low, isLow := m.numbers[o.lower]
		high, isHigh := m.numbers[o.higher]
		if !isLow {
			low = o.low
		}
		if !isHigh {
			high = o.high
		}
		if low <= high {
			continue
		}
		value := number(high)
		if o.octets {
			value = text(value)
		}
		t.lines = slices.DeleteFunc(t.lines, func(l keyLine) bool { return l.key == o.lower })
		t.set(o.lower, value, "not more than "+o.higher)
		m.changed("limits", o.lower+" = "+number(low), "limits."+o.lower+" = "+value, "it must not be more than "+o.higher, "")
	}
	if len(t.lines) == 0 {
		m.Policy.tables = slices.DeleteFunc(m.Policy.tables, func(o *table) bool { return o == t })
	}
}

func (m *postfixImport) recipientLimit() {
	p, set := m.get("smtpd_recipient_limit")
	if !set {
		return
	}
	n, err := strconv.Atoi(p.Value)
	if err != nil || n < 1 {
		m.leave(p.At.String(), written(p), "is no number above 0", "")
		return
	}
	n = min(n, 10_000)
	t := m.Policy.table("limits")
	t.set("recipients_known", number(n), p.At.String())
	if n < 100 {
		t.set("recipients", number(n), p.At.String())
	}
	m.changed(p.At.String(), written(p), "limits.recipients_known = "+number(n), "unknown clients may bring "+number(min(n, 100))+" in one transaction; more come in a transaction of their own", "")
}

// times are the waits of a session.
func (m *postfixImport) times() {
	for _, w := range []struct {
		name, key string
		low, high time.Duration
	}{{"smtpd_error_sleep_time", "error_wait", 0, 30 * time.Second}, {"smtpd_timeout", "command_timeout", 5 * time.Second, 30 * time.Minute}} {
		p, set := m.get(w.name)
		if !set {
			continue
		}
		d, ok := postfixTime(p.Value)
		if !ok {
			m.leave(p.At.String(), written(p), "is no time", "")
			continue
		}
		became := min(max(d, w.low), w.high)
		value := text(number(int(became/time.Second)) + "s")
		m.Policy.table("limits").set(w.key, value, p.At.String())
		if became == d {
			m.taken(p.At.String(), written(p), "limits."+w.key+" = "+value)
		} else {
			m.changed(p.At.String(), written(p), "limits."+w.key+" = "+value, "it is outside of what the key takes", "")
		}
	}
}

// postfixTime reads a time with a unit (postconf(5)); seconds unless written.
func postfixTime(s string) (time.Duration, bool) {
	unit := time.Second
	if s != "" {
		if i := strings.IndexByte("smhdw", s[len(s)-1]); i >= 0 {
			unit = [...]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}[i]
			s = s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 24)
	return time.Duration(n) * unit, err == nil
}

// rates are those of anvil(8).
func (m *postfixImport) rates() {
	unit, set := m.get("anvil_rate_time_unit")
	per, ok := postfixTime(unit.Value)
	if !set || !ok || per < time.Second || per > 24*time.Hour {
		per = time.Minute
	}
	for _, r := range [][2]string{{"smtpd_client_connection_rate_limit", "connections"}, {"smtpd_client_message_rate_limit", "messages"},
		{"smtpd_client_recipient_rate_limit", "recipients"}, {"smtpd_client_new_tls_session_rate_limit", ""}, {"smtpd_client_auth_rate_limit", ""}} {
		p, set := m.get(r[0])
		if !set {
			continue
		}
		n, err := strconv.Atoi(p.Value)
		switch {
		case err != nil || n < 0 || n > 1_000_000:
			m.leave(p.At.String(), written(p), "is no number of so many", "")
		case r[1] == "":
			m.leave(p.At.String(), written(p), "is not counted apart", "limit connections instead")
		case n == 0:
			m.changed(p.At.String(), written(p), "the default rates", "0 is no limit there; Gatepost keeps its own, which honest hosts do not meet", "see gatepost limits top")
		default:
			rate := number(n) + "/" + number(int(per/time.Second)) + "s"
			t := m.Policy.each("rate")
			t.set("of", text("client"), p.At.String())
			t.set("unit", text(r[1]), "")
			t.set("unknown", text(rate), "")
			t.set("known", text(rate), "")
			m.taken(p.At.String(), written(p), "rate of client, "+r[1]+": "+rate)
		}
	}
	if p, set := m.get("smtpd_client_event_limit_exceptions"); set && p.Value != m.c.Value("mynetworks") {
		m.leave(p.At.String(), written(p), "exempt from limits are the trusted networks, and clients on the allow list", "add the networks to [trusted] if they are your own")
	}
}

// speech is how the gateway speaks to clients.
func (m *postfixImport) speech() {
	if p, set := m.get("smtpd_banner"); set {
		rest := strings.TrimSpace(strings.TrimPrefix(p.Value, m.c.Value("myhostname")))
		ascii := !strings.ContainsFunc(rest, func(r rune) bool { return r > '~' || r < ' ' })
		if (rest == "ESMTP" || strings.HasPrefix(rest, "ESMTP ")) && len(rest) <= 200 && ascii && !strings.Contains(rest, "Postfix") {
			m.Policy.table("smtp").set("banner", text(rest), p.At.String())
			m.taken(p.At.String(), written(p), "smtp.banner = "+text(rest))
		} else {
			m.changed(p.At.String(), written(p), `smtp.banner = "ESMTP"`, "a banner here is the host name and a text that begins with ESMTP, and it names no other product", "")
		}
	}
	p, set := m.get("smtpd_discard_ehlo_keywords")
	if !set || p.Value == "" {
		return
	}
	var without []string
	for _, w := range strings.FieldsFunc(strings.ToUpper(p.Value), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		switch {
		case slices.Contains([]string{"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "STARTTLS"}, w):
			without = unique(without, w)
		case w != "SILENT-DISCARD":
			m.taken(p.At.String(), "smtpd_discard_ehlo_keywords: "+w, "it is never offered")
		}
	}
	if len(without) > 0 {
		t := m.Policy.table("smtp")
		if i := slices.IndexFunc(t.lines, func(l keyLine) bool { return l.key == "without" }); i >= 0 {
			t.lines[i].value, t.lines[i].origin = texts(unique(without, "STARTTLS")), t.lines[i].origin+", "+p.At.String()
		} else {
			t.set("without", texts(without), p.At.String())
		}
		m.taken(p.At.String(), written(p), "smtp.without = "+texts(without))
	}
}
