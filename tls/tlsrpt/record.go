package tlsrpt

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Prefix is what stands before a policy domain in the name of its record (RFC 8460 section 3).
const Prefix = "_smtp._tls."

// The bounds of a record.
const (
	MaxDestinations = 5 // that are used
	maxRecord       = 8 << 10
	maxFields       = 50
	maxURL          = 1000
	maxDomain       = 253
)

// Record is what a domain publishes to get reports (RFC 8460 section 3).
type Record struct {
	RUA []Destination // different ones, in their order, at most MaxDestinations
	Bad []BadURI      // what cannot be used, and why; at most MaxDestinations
}

// Destination is where a report goes: Mailbox or URL is set.
type Destination struct {
	Mailbox string // an address that needs no quotes anywhere, its domain in lower-case A-labels
	URL     string // https, at a host name
}

// String is the mailbox or the URL.
func (d Destination) String() string { return d.Mailbox + d.URL }

// Host is the domain of the mailbox, or the host of the URL.
func (d Destination) Host() string {
	if d.URL == "" {
		return d.Mailbox[strings.LastIndexByte(d.Mailbox, '@')+1:]
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// ReadDestination reads what String wrote; not ok for anything else.
func ReadDestination(text string) (d Destination, ok bool) {
	uri := text
	if !strings.HasPrefix(text, "https://") {
		uri = "mailto:" + strings.ReplaceAll(text, "%", "%25")
	}
	d, err := readURI(uri)
	return d, err == nil && d.String() == text
}

// BadURI is an address of a record that cannot be used.
type BadURI struct {
	URI string // cleaned and cut
	Err error
}

func (b BadURI) Error() string { return b.URI + ": " + b.Err.Error() }

// Errors of records and addresses.
var (
	ErrNone     = errors.New("there is no TLSRPT record")
	ErrSeveral  = errors.New("there are several TLSRPT records, which counts as none (RFC 8460 section 3)")
	ErrSyntax   = errors.New("the TLSRPT record is no list of fields")
	errScheme   = errors.New("only mailto: and https: are known")
	errEncoded  = errors.New("broken percent encoding")
	errMailbox  = errors.New("no plain address")
	errURL      = errors.New("no https address at a host name")
	errMore     = errors.New("more addresses than are used")
	errUnwanted = errors.New("the TLSRPT record names no address that can be used")
)

// Find reads the one TLSRPT record among the TXT records of a name. Its error says why there is none that counts.
func Find(texts []string) (Record, error) {
	found, n := "", 0
	for _, t := range texts {
		if rest, ok := strings.CutPrefix(t, "v=TLSRPTv1"); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			found = rest
			n++
		}
	}
	switch {
	case n == 0:
		return Record{}, ErrNone
	case n > 1:
		return Record{}, ErrSeveral
	case len(found) > maxRecord:
		return Record{}, ErrSyntax
	}
	return read(found)
}

// read reads the fields behind the version. Those that are not known are for others (RFC 8460 section 3).
func read(fields string) (r Record, err error) {
	n := 0
	for field := range strings.SplitSeq(fields, ";") {
		if field = strings.Trim(field, " \t"); field == "" {
			continue
		}
		name, value, ok := strings.Cut(field, "=")
		if n++; !ok || name == "" || n > maxFields {
			return Record{}, ErrSyntax
		}
		if strings.TrimRight(name, " \t") == "rua" {
			r.add(value)
		}
	}
	if len(r.RUA) == 0 {
		return r, errUnwanted
	}
	return r, nil
}

// add reads a list of addresses.
func (r *Record) add(list string) {
	for uri := range strings.SplitSeq(list, ",") {
		if uri = strings.Trim(uri, " \t"); uri == "" {
			continue
		}
		d, err := readURI(uri)
		switch {
		case err != nil:
		case slices.Contains(r.RUA, d):
			continue
		case len(r.RUA) == MaxDestinations:
			err = errMore
		default:
			r.RUA = append(r.RUA, d)
			continue
		}
		if len(r.Bad) == MaxDestinations {
			return
		}
		r.Bad = append(r.Bad, BadURI{clean(uri, 100), err})
	}
}

func readURI(uri string) (d Destination, err error) {
	scheme, rest, _ := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "mailto":
		d.Mailbox, err = mailbox(rest)
	case "https":
		d.URL, err = webAddress(uri)
	default:
		err = errScheme
	}
	return d, err
}

// mailbox reads what follows mailto: (RFC 6068). What stands behind a "?" would be fields of a mail that we write ourselves,
// and is left alone.
func mailbox(text string) (string, error) {
	text, _, _ = strings.Cut(text, "?")
	text, err := url.PathUnescape(text)
	if err != nil {
		return "", errEncoded
	}
	at := strings.LastIndexByte(text, '@')
	if at < 1 || at > 64 || !dotAtom(text[:at]) {
		return "", errMailbox
	}
	domain, ok := aLabels(text[at+1:])
	if !ok {
		return "", errMailbox
	}
	return text[:at] + "@" + domain, nil
}

// webAddress reads an https URL. It must be at a name, which a certificate vouches for before anything is sent: so a record
// cannot make us talk to hosts of our own network.
func webAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.User != nil || u.Opaque != "" {
		return "", errURL
	}
	host, ok := aLabels(u.Hostname())
	if _, err := netip.ParseAddr(host); !ok || err == nil || !strings.ContainsFunc(host[strings.LastIndexByte(host, '.'):], letter) {
		return "", errURL
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errURL
		}
		host += ":" + port
	}
	u.Scheme, u.Host, u.Fragment, u.RawFragment = "https", host, "", ""
	out := u.String()
	if len(out) > maxURL || strings.ContainsFunc(out, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", errURL
	}
	return out, nil
}

func letter(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// aLabels returns a domain of at least two labels as it is asked for in DNS. One that reads differently the second time is
// none: whoever else reads it would see another.
func aLabels(name string) (string, bool) {
	domain, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	domain = strings.ToLower(domain)
	if err != nil || !ValidDomain(domain) {
		return "", false
	}
	again, err := idna.Lookup.ToASCII(domain)
	return domain, err == nil && again == domain
}

// ValidDomain reports whether a text is a domain name of at least two labels that can stand in a file name and a header
// field: letters, digits, hyphens, underscores and dots, within the lengths of RFC 1035. An IP address is none.
func ValidDomain(name string) bool {
	if len(name) > maxDomain || !strings.Contains(name, ".") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(c rune) bool {
			return !letter(c) && (c < '0' || c > '9') && c != '-' && c != '_'
		}) {
			return false
		}
	}
	return true
}

// dotAtom reports whether a text is one of RFC 5322, which needs no quotes anywhere.
func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c) }) {
			return false
		}
	}
	return true
}

// clean makes a stranger's text one that can be shown and sent: printable ASCII, cut.
func clean(s string, most int) string {
	out := []byte(s[:min(len(s), most)])
	for i, c := range out {
		if c < ' ' || c > '~' {
			out[i] = '?'
		}
	}
	return string(out)
}
