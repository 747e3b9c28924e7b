package handover

import (
	"embed"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

//go:embed kits/*.txt
var kits embed.FS

// Facts are what a kit has to know of the gateway.
type Facts struct {
	Hostname   string       // the gateway's own name
	Gateways   []netip.Addr // that it connects from; at least one
	Domains    []string     // that it serves by this route; at least one
	Route      string
	HopHost    string // the first next hop of the route: a name, an address, or unix: and a path
	Port       int
	Size       int64 // octets of the largest message, with the gateway's own fields
	Recipients int   // in a transaction
	Pool       int   // connections to each next hop
	// Forward is how the route tells whom the mail came from: "xclient", "xforward" or "".
	Forward    string
	SealDomain string // whose ARC seals the gateway's are
}

// Product is a mail server that there is a kit for.
type Product struct {
	Name  string // as it is written on the command line
	Title string
	mark  string // what a line that is no command begins with
	LMTP  bool   // it is spoken to by LMTP
	// Late says that it answers for recipients only after the message.
	Late bool
}

// Products are those that there is a kit for, in the order in which they are shown.
func Products() []Product {
	return []Product{
		{Name: "exchange", Title: "Microsoft Exchange Server", mark: "# ", Late: true},
		{Name: "exchange-online", Title: "Microsoft Exchange Online", mark: "# "},
		{Name: "postfix", Title: "Postfix", mark: "# "},
		{Name: "exim", Title: "Exim", mark: "# "},
		{Name: "sendmail", Title: "Sendmail", mark: "# "},
		{Name: "qmail", Title: "qmail", mark: "# ", Late: true},
		{Name: "domino", Title: "HCL Domino"},
		{Name: "dovecot", Title: "Dovecot (LMTP)", mark: "# ", LMTP: true},
		{Name: "courier", Title: "Courier", mark: "# "},
		{Name: "google", Title: "Google Workspace"},
	}
}

// Find returns the product of a name.
func Find(name string) (Product, bool) {
	for _, p := range Products() {
		if p.Name == name {
			return p, true
		}
	}
	return Product{}, false
}

// sheet is what the templates see.
type sheet struct {
	Facts
	Product, Title, Mark string
}

// ForwardKey is Postfix's setting that lets the gateway say whom the mail came from; "" for none.
func (s sheet) ForwardKey() string {
	switch s.Forward {
	case "xclient":
		return "smtpd_authorized_xclient_hosts"
	case "xforward":
		return "smtpd_authorized_xforward_hosts"
	}
	return ""
}

// SizeMB and SizeKB are the size in the units that some products want, rounded up.
func (s sheet) SizeMB() int64 { return (s.Size + 1<<20 - 1) >> 20 }
func (s sheet) SizeKB() int64 { return (s.Size + 1<<10 - 1) >> 10 }

// Connections are as many as the server must let the gateway have: its pool, and as many again while a new process of the
// gateway takes over from the old one, and some for a person.
func (s sheet) Connections() int { return 2*s.Pool + 10 }

// Socket is the path of the next hop where it is a socket of the same host; "" elsewhere.
func (s sheet) Socket() string {
	path, ok := strings.CutPrefix(s.HopHost, "unix:")
	if !ok {
		return ""
	}
	return path
}

// HopAddress is host:port of the next hop, or unix: and a path.
func (s sheet) HopAddress() string {
	if s.Socket() != "" {
		return s.HopHost
	}
	return net.JoinHostPort(s.HopHost, strconv.Itoa(s.Port))
}

// fields are what the templates can name.
func (s sheet) fields() map[string]any {
	return map[string]any{"Hostname": s.Hostname, "Gateways": s.Gateways, "Domains": s.Domains, "Route": s.Route, "HopHost": s.HopHost,
		"Port": s.Port, "Size": s.Size, "Recipients": s.Recipients, "Pool": s.Pool, "Forward": s.Forward, "SealDomain": s.SealDomain,
		"Product": s.Product, "Title": s.Title, "Mark": s.Mark, "ForwardKey": s.ForwardKey(), "SizeMB": s.SizeMB(), "SizeKB": s.SizeKB(),
		"Connections": s.Connections(), "Socket": s.Socket(), "HopAddress": s.HopAddress()}
}

// Write prints the kit of a product. Its error says what is missing of the facts.
func Write(w io.Writer, p Product, f Facts) error {
	if len(f.Gateways) == 0 || len(f.Domains) == 0 {
		return fmt.Errorf("handover: a kit needs an address of the gateway and a domain")
	}
	common, err := kits.ReadFile("kits/common.txt")
	if err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	own, err := kits.ReadFile("kits/" + p.Name + ".txt")
	if err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	text, err := fill(string(own), string(common), sheet{Facts: f, Product: p.Name, Title: p.Title, Mark: p.mark}.fields(), functions())
	if err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	_, err = io.WriteString(w, text)
	return err
}
