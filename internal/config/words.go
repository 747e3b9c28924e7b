package config

import (
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// accepts says whether a kind of TOML value can be read into the field.
func (f field) accepts(k kind) bool {
	switch f.form {
	case formBool:
		return k == kindBool
	case formInt:
		return k == kindInteger
	case formFloat:
		return k == kindFloat || k == kindInteger
	case formSize:
		return k == kindString || k == kindInteger
	}
	return k == kindString
}

// noun is what the field is, for "... is text, not a whole number".
func (f field) noun() string {
	switch f.form {
	case formBool:
		return "true or false"
	case formInt:
		return "a whole number"
	case formFloat:
		return "a number"
	case formSize:
		return "a size"
	case formDuration:
		return "a duration"
	case formText:
		return f.textNoun()
	case formList:
		return "a list"
	case formMap, formTable, formChecks:
		return "a table"
	case formTables:
		return "a list of tables"
	}
	if f.format != "" {
		return f.formatNoun()
	}
	return "text"
}

func (f field) textNoun() string {
	switch f.typ {
	case reflect.TypeFor[netip.Prefix]():
		return "a network"
	case reflect.TypeFor[netip.Addr]():
		return "an IP address"
	case reflect.TypeFor[netip.AddrPort]():
		return "an IP address with a port"
	}
	return "text"
}

func (f field) formatNoun() string {
	switch f.format {
	case "hostname":
		return "a host name"
	case "domain", "pattern":
		return "a domain name"
	case "certificate-name":
		return "a host name, or *. and a host name"
	case "mailbox", "recipient":
		return "a mail address"
	case "member":
		return "a mail address or a domain"
	case "to":
		return "a group, a mail address or a domain"
	case "from":
		return "a mail address, a domain or a network"
	case "service":
		return "the name of a service"
	case "host", "next-hop":
		return "a host name or IP address"
	case "server":
		return "the IP address of a server"
	case "syslog":
		return "a place for syslog"
	case "address":
		return "an address with a port"
	case "path":
		return "a path"
	case "fingerprint":
		return "a SHA-256 fingerprint"
	case "header":
		return "the name of a header field"
	case "regexp":
		return "a regular expression"
	case "url":
		return "a web address"
	case "ldap":
		return "an LDAP server"
	case "attribute":
		return "the name of an attribute"
	}
	return "a word"
}

// ranged is the range in words, with a leading blank; empty if there is none.
func (f field) ranged() string {
	switch {
	case f.min != "" && f.max != "":
		return " from " + f.edge(f.min) + " to " + f.edge(f.max)
	case f.min != "":
		return " of at least " + f.edge(f.min)
	case f.max != "":
		return " of at most " + f.edge(f.max)
	case f.form == formInt && f.typ.Bits() < 32:
		return f.typeRange()
	}
	return ""
}

// typeRange is the range of a small integer type.
func (f field) typeRange() string {
	bits := f.typ.Bits()
	if f.typ.Kind() >= reflect.Uint {
		return " from 0 to " + strconv.Itoa(1<<bits-1)
	}
	return " from " + strconv.Itoa(-1<<(bits-1)) + " to " + strconv.Itoa(1<<(bits-1)-1)
}

func (f field) edge(bound string) string {
	if f.form == formList || f.form == formMap {
		return f.element().literal(bound)
	}
	return f.literal(bound)
}

// sample is a value to show, as the document would have it.
func (f field) sample() string {
	switch {
	case f.example != "":
		return f.literal(f.example)
	case f.def != "":
		return f.literal(f.def)
	case len(f.enum) > 0 && f.form == formList:
		return "[" + strconv.Quote(f.enum[0]) + "]"
	case len(f.enum) > 0:
		return strconv.Quote(f.enum[0])
	}
	switch f.form {
	case formBool:
		return "true"
	case formInt:
		return max(f.min, "1")
	case formFloat:
		return "1.5"
	case formSize:
		return `"50M"`
	case formDuration:
		return `"30s"`
	case formList:
		return "[" + f.element().sample() + "]"
	case formText, formString:
		return f.textSample()
	}
	return ""
}

func (f field) textSample() string {
	switch f.noun() {
	case "a network":
		return `"192.0.2.0/24"`
	case "an IP address", "the IP address of a server":
		return `"192.0.2.1"`
	case "an IP address with a port", "an address with a port":
		return `"127.0.0.1:25"`
	case "a host name", "a host name or IP address":
		return `"mx.example.org"`
	case "the name of a service":
		return `"_smtp._tcp.example.org"`
	case "a domain name":
		return `"example.org"`
	case "a mail address":
		return `"info@example.org"`
	case "a SHA-256 fingerprint":
		return strconv.Quote(strings.Repeat("0123456789abcdef", 4))
	case "a path":
		return `"/var/lib/gatepost"`
	case "a web address":
		return `"https://www.example.org/"`
	}
	return `"text"`
}

// instead says what to write, with a value to show. Tables are for want to say, which knows their path.
func (f field) instead() string {
	switch f.form {
	case formList:
		return "write a list, for example " + f.sample()
	case formBool:
		return "write true or false, without quotes"
	}
	if len(f.enum) > 0 {
		return "write one of " + quoteAll(f.enum)
	}
	switch f.form {
	case formSize:
		return "write a number with K, M or G, for example " + f.sample()
	case formDuration:
		return "write a number with s, m, h or d, for example " + f.sample()
	}
	return "write " + f.noun() + f.ranged() + ", for example " + f.sample()
}

// insteadOf is instead, but where only the quotes are wrong it says so.
func (f field) insteadOf(n *node) string {
	switch {
	case f.form == formInt && n.kind == kindString && allDigits(n.text):
		return "write " + n.text + " without quotes"
	case f.form == formBool && n.kind == kindString && (n.text == "true" || n.text == "false"):
		return "write " + n.text + " without quotes"
	case f.form == formString && len(f.enum) == 0 && f.format == "" && n.kind < kindTime && n.kind > kindString:
		return "write " + strconv.Quote(n.text) + " with quotes"
	case f.form == formDuration && n.kind == kindInteger && allDigits(n.text):
		return "write the unit too, for example " + strconv.Quote(n.text+"s") + " or " + strconv.Quote(n.text+"m")
	}
	return f.instead()
}

// line is the key with a value to show, as the document would have it.
func (f field) line() string {
	switch f.form {
	case formTable, formMap, formChecks:
		return "[" + f.name + "]"
	case formTables:
		return "[[" + f.name + "]]"
	}
	return f.name + " = " + f.sample()
}

// describe says what a value is: `"100" is text`.
func describe(n *node) string {
	switch n.kind {
	case kindTable:
		return "this is a table"
	case kindList:
		if n.tables {
			return "this is a list of tables"
		}
		return "this is a list"
	case kindString:
		return shown(n.text) + " is text"
	case kindInteger:
		return n.literal() + " is a whole number"
	case kindFloat:
		return n.literal() + " is a number"
	case kindBool:
		return n.text + " is a boolean"
	}
	return n.literal() + " is a date or time"
}

func literalOf(n *node) string {
	if n.kind == kindString {
		return shown(n.text)
	}
	return n.literal()
}

// literal is a value that is no text, as written; numbers can be as long as a file.
func (n *node) literal() string {
	const most = 48
	if len(n.text) > most {
		return strings.ToValidUTF8(n.text[:most], "") + "..."
	}
	return n.text
}
