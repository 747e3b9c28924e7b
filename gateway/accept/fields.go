package accept

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/authres"
)

// Fields is what is written before the message and what of it is left out.
type Fields struct {
	Added     []byte
	Removed   []string
	ScannedBy []string
	Edits     []string // what else was changed, for the journal
	kept      []span
	changes   []change // of the content, in their order
	results   []byte   // our Authentication-Results
}

// span is a part of the header section that goes out as it came in, and what is written behind it.
type span struct {
	from, to int
	then     string
}

// Compose makes all the fields that we add, in this order from the top: the verdict, what scanned it, the spam fields,
// Authentication-Results (RFC 8601 section 4 wants it above what it vouches for), and Received. It is the only function
// that adds, changes or removes a header field; what seals the whole of it comes above, by seal.
func Compose(e *gateway.Envelope, v *gateway.Verdict, at time.Time) Fields {
	f := Fields{}
	b := make([]byte, 0, 1<<10)
	b = add(b, "X-Gatepost-Verdict: ", v.Outcome.String(), "\r\nX-Gatepost-Trace: ", e.ID.String(), "\r\n")
	f.ScannedBy = scanners(e)
	if len(f.ScannedBy) > 0 {
		b = add(b, "X-Gatepost-Scanned: ", strings.Join(f.ScannedBy, ";\r\n\t"), "\r\n")
	}
	if len(v.Marks) > 0 {
		b = add(b, "X-Gatepost-Unscanned: ", strings.Join(v.Marks, ", "), "\r\n")
	}
	b = spamFields(b, e, v)
	results := len(b)
	b = authenticationResults(b, e)
	f.results = b[results:len(b):len(b)]
	b = gateway.AppendReceived(b, e, at)
	f.strip(e.Header, e.Session.Snapshot.Hostname)
	if first := f.firstOctet(e.Header.Raw); first == ' ' || first == '\t' {
		// Without a field of its own, the first line of a malformed message would become part of our Received.
		b = add(b, malformed)
	}
	f.rewrite(e)
	b = f.subject(b, e, v)
	f.Added = b
	f.Removed, f.Edits = few(f.Removed), few(f.Edits)
	return f
}

// malformed stands between our fields and a header section that begins with white space.
const malformed = "X-Gatepost-Malformed: the header section began with white space\r\n"

// maxListed bounds what is listed of what was done to a message: it stands in the log, and a message of ten thousand such
// fields would cost it more than the message has octets.
const maxListed = 50

// few is the beginning of a list, with what is left out counted.
func few(list []string) []string {
	if len(list) <= maxListed {
		return list
	}
	return append(list[:maxListed:maxListed], "and "+strconv.Itoa(len(list)-maxListed)+" more")
}

// add appends words.
func add(b []byte, words ...string) []byte {
	for _, w := range words {
		b = append(b, w...)
	}
	return b
}

// scanners lists what looked at the content, with versions.
func scanners(e *gateway.Envelope) []string {
	var out []string
	for i := range e.Findings {
		for _, ev := range e.Findings[i].Evidence {
			if ev.Name == gateway.EvidenceScanner {
				out = append(out, gateway.CleanText(ev.Text, 200))
			}
		}
	}
	return out
}

// spamFields writes what SpamAssassin users and their filters expect, with our own sum of points.
func spamFields(b []byte, e *gateway.Envelope, v *gateway.Verdict) []byte {
	flag, yes := "NO", "No"
	if v.Outcome >= gateway.Tag && v.Score > 0 {
		flag, yes = "YES", "Yes"
	}
	b = add(b, "X-Spam-Flag: ", flag, "\r\nX-Spam-Score: ")
	b = add(points(b, v.Score), "\r\n")
	if stars := min(int(v.Score), 50); stars > 0 {
		b = add(b, "X-Spam-Level: ", strings.Repeat("*", stars), "\r\n")
	}
	b = points(add(b, "X-Spam-Status: ", yes, ", score="), v.Score)
	b = points(add(b, " required="), e.Session.Snapshot.Policy.Thresholds.Tag)
	return add(b, "\r\n\ttests=", tests(e, v), "\r\n")
}

// points appends a sum as SpamAssassin writes it.
func points(b []byte, sum float64) []byte { return strconv.AppendFloat(b, sum, 'f', 1, 64) }

// tests names the rules that hit and the measures that cost something, folded so that no line is too long.
func tests(e *gateway.Envelope, v *gateway.Verdict) string {
	var names []string
	for _, p := range v.Priced {
		if p.Check == "spamassassin" || p.Check == "rspamd" {
			continue // their rules are named below
		}
		names = append(names, strings.ToUpper(p.Check+"_"+p.Measure))
	}
	for i := range e.Findings {
		if rules := gateway.Evident(e.Findings[i:i+1], gateway.EvidenceRules); rules != "" {
			names = append(names, strings.Split(rules, ",")...)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	var b strings.Builder
	width := 0
	for i, n := range names {
		n = gateway.CleanText(n, 60)
		if i > 0 {
			b.WriteByte(',')
			if width > 60 {
				b.WriteString("\r\n\t")
				width = 0
			}
		}
		b.WriteString(n)
		width += len(n) + 1
	}
	return b.String()
}

// authenticationMethods is the order in which results are told, the one on which others build first.
var authenticationMethods = [...]string{"iprev", "spf", "dkim", "arc", "dmarc"}

// authenticationResults writes what the checks say of the sender, in one field (RFC 8601).
func authenticationResults(b []byte, e *gateway.Envelope) []byte {
	w := authres.Begin(add(b, "Authentication-Results: "), e.Session.Snapshot.Hostname)
	var props [8]authres.Prop
	for _, method := range authenticationMethods {
		for i := range e.Findings {
			for j := range e.Findings[i].Auth {
				r := &e.Findings[i].Auth[j]
				if r.Method != method {
					continue
				}
				said := authres.Result{Method: r.Method, Result: r.Result, Reason: r.Reason, Comment: r.Comment, Props: props[:0]}
				for _, p := range r.Props {
					said.Props = append(said.Props, authres.Prop(p))
				}
				w.Add(&said)
			}
		}
	}
	return add(w.End(), "\r\n")
}

// strip leaves out the fields that only we may write, and Authentication-Results that claim to be ours: a stranger's
// would be believed behind us. A separator of an mbox file goes, too.
func (f *Fields) strip(h *gateway.Header, hostname string) {
	at := 0
	for i, field := range h.Fields {
		name := field.Name
		switch {
		case ours(name):
		case i == 0 && name == "" && isMbox(h.Raw):
			name = "From (of an mbox file)"
		default:
			value, is := authres.Named(h.Raw[field.Start:field.End])
			if !is || !authres.Claims(string(value), hostname) {
				continue
			}
			name = "Authentication-Results" // in whatever dress
		}
		if field.Start > at {
			f.kept = append(f.kept, span{from: at, to: field.Start})
		}
		at = field.End
		f.Removed = append(f.Removed, gateway.CleanText(name, 80))
	}
	if at < len(h.Raw) {
		f.kept = append(f.kept, span{from: at, to: len(h.Raw)})
	}
}

// isMbox reports a header section that begins with the line that separates messages of an mbox file (RFC 4155), as it is or
// quoted. Servers know it at the very top, where our fields will stand; further down it ends the header section for them.
func isMbox(raw []byte) bool {
	return bytes.HasPrefix(bytes.TrimPrefix(raw, []byte(">")), []byte("From "))
}

// ours reports whether a field is one that only the gateway or the internal MTA may write.
func ours(name string) bool {
	for _, prefix := range [...]string{"X-Spam-", "X-Gatepost-", "X-MS-Exchange-Organization-"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

func (f *Fields) firstOctet(raw []byte) byte {
	if len(f.kept) == 0 {
		return 0
	}
	return raw[f.kept[0].from]
}

// startsLine reports whether what follows these octets begins a line.
func startsLine(before []byte) bool {
	return len(before) == 0 || bytes.HasSuffix(before, []byte("\r\n"))
}

// Content is the message as it goes out: our fields, the header section without what was removed, and the rest octet for
// octet as it came in, so that signatures stay good.
func (f *Fields) Content(e *gateway.Envelope) gateway.Content {
	c := gateway.Content{Parts: []io.Reader{bytes.NewReader(f.Added)}, Size: int64(len(f.Added)),
		EightBit: e.Measured.EightBit, UTF8: e.Options.UTF8}
	for _, s := range f.kept {
		c.Parts = append(c.Parts, bytes.NewReader(e.Header.Raw[s.from:s.to]))
		c.Size += int64(s.to - s.from)
		if s.then != "" {
			c.Parts = append(c.Parts, strings.NewReader(s.then))
			c.Size += int64(len(s.then))
		}
	}
	from := int64(len(e.Header.Raw))
	rest, size := f.rest(e, from)
	c.Parts, c.Size = append(c.Parts, rest...), c.Size+size
	if len(f.changes) > 0 {
		return c // nobody looked at it as it is now
	}
	c.Clean = e.Measured.Clean && startsLine(e.Header.Raw)
	for _, at := range e.Measured.Dots {
		if at >= from {
			c.Dots = append(c.Dots, at-from)
		}
	}
	return c
}
