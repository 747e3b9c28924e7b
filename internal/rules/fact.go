package rules

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"gatepost/gateway"
	"gatepost/internal/author"
)

// Fact is something that a condition may read.
type Fact struct {
	Name string
	Type string        // as CEL calls it
	From gateway.Stage // the stage from which on it is known; before it a condition that reads it cannot be told
	Doc  string
	read func(*facts) any
	kind *cel.Type
}

// facts are those of one message for one recipient.
type facts struct {
	r      *gateway.Record
	rcpt   int
	points float64
	author *author.Mailbox // parsed when first asked for
	parsed bool
}

// Facts is the table of all facts. The score is one for rules about the message as such alone, and stands last.
func Facts() []Fact {
	text, number, yes := cel.StringType, cel.IntType, cel.BoolType
	return []Fact{
		{"client", "string", gateway.Connect, "The address of the client.", func(f *facts) any { return f.r.Client.Unmap().String() }, text},
		{"trusted", "bool", gateway.Connect, "The client is in trusted.networks.", func(f *facts) any { return f.r.Trusted }, yes},
		{"relay", "bool", gateway.Connect, "The client is a trusted relay, so that client is not who sent it.", func(f *facts) any { return f.r.Relay }, yes},
		{"listener", "string", gateway.Connect, "The name of the listener it came in by.", func(f *facts) any { return f.r.Listener }, text},
		{"time", "timestamp", gateway.Connect, "When the transaction began.", func(f *facts) any { return types.Timestamp{Time: f.r.Time} }, cel.TimestampType},
		{"helo", "string", gateway.Helo, "The name in HELO or EHLO.", func(f *facts) any { return strings.ToLower(f.r.Helo) }, text},
		{"tls", "string", gateway.Mail, "The version of TLS, as \"TLSv1.3\"; empty in clear.", func(f *facts) any { return f.r.TLS }, text},
		{"certificate", "string", gateway.Mail, "The SHA-256 of the client's certificate in hexadecimal; empty without one.", func(f *facts) any { return f.r.Cert }, text},
		{"sender", "string", gateway.Mail, "The reverse-path in lower case; empty for bounces.", func(f *facts) any { return address(f.r.From) }, text},
		{"sender_domain", "string", gateway.Mail, "Its domain.", func(f *facts) any { return f.r.From.Domain }, text},
		{"requiretls", "bool", gateway.Mail, "The sender asked for REQUIRETLS.", func(f *facts) any { return f.r.RequireTLS }, yes},
		{"recipient", "string", gateway.Rcpt, "The address of the recipient at hand, in lower case.", func(f *facts) any { return address(f.r.Rcpts[f.rcpt].To) }, text},
		{"recipient_domain", "string", gateway.Rcpt, "Its domain.", func(f *facts) any { return f.r.Rcpts[f.rcpt].To.Domain }, text},
		{"recipients", "int", gateway.Data, "How many recipients were accepted.", func(f *facts) any { return f.accepted() }, number},
		{"size", "int", gateway.Data, "Octets of the message.", func(f *facts) any { return f.r.Size }, number},
		{"author", "string", gateway.Data, "The first address in From, in lower case; empty where there is none. Anybody can write it: ask checks.proves as well.", func(f *facts) any { return f.authorAddress() }, text},
		{"author_domain", "string", gateway.Data, "Its domain.", func(f *facts) any { return after(f.authorAddress()) }, text},
		{"author_name", "string", gateway.Data, "The display name beside it, decoded.", func(f *facts) any { return f.authorName() }, text},
		{"score", "double", gateway.Data, "The sum of points for the recipient. Only in rules without check.", func(f *facts) any { return f.points }, cel.DoubleType},
	}
}

func address(a gateway.Address) string {
	if a.Domain == "" {
		return strings.ToLower(a.Local)
	}
	return strings.ToLower(a.Local) + "@" + a.Domain
}

func after(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func (f *facts) accepted() (n int) {
	for i := range f.r.Rcpts {
		if f.r.Rcpts[i].Code == 250 {
			n++
		}
	}
	return n
}

// mailbox is the first of From. Only so much of the field is read as a condition may cost.
func (f *facts) mailbox() *author.Mailbox {
	if !f.parsed {
		f.parsed = true
		if all := author.Mailboxes(f.r.HeaderFrom, 1); len(all) > 0 {
			f.author = &all[0]
		}
	}
	return f.author
}

func (f *facts) authorAddress() string {
	if m := f.mailbox(); m != nil && m.Address.Domain != "" {
		return strings.ToLower(m.Address.Local + "@" + m.Address.Domain)
	}
	return ""
}

func (f *facts) authorName() string {
	if m := f.mailbox(); m != nil {
		return m.Name
	}
	return ""
}

// ResolveName gives CEL the value of a fact. What is not known yet is none, so that the condition fails, and no rule
// matches by it.
func (e *evaluation) ResolveName(name string) (any, bool) {
	if name == checksName {
		return &found{facts: &e.facts}, true
	}
	fact, ok := e.known[name]
	if !ok || fact.From > e.r.Stage || fact.From == gateway.Rcpt && e.rcpt >= len(e.r.Rcpts) {
		return nil, false
	}
	return fact.read(&e.facts), true
}

// Parent is nil: there are no other facts.
func (e *evaluation) Parent() cel.Activation { return nil }

// evaluation is one condition at work.
type evaluation struct {
	facts
	known map[string]Fact
}
