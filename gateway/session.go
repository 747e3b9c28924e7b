package gateway

import (
	"net/netip"
	"time"
)

// Session is what is true of one connection. The edge fills it; checks read it. It is not safe for writing while checks run.
type Session struct {
	ID       ID
	Listener string         // the name of the listener in gatepost.toml
	Client   netip.AddrPort // the address mail comes from; behind a proxy, the one its header named
	Local    netip.AddrPort
	Proxy    netip.AddrPort // the proxy that forwards it; the zero value without one
	Started  time.Time
	Trusted  bool // in a trusted network: skips caps and rates, never checks or relay rules
	Relay    bool // a trusted relay (Policy.Relays): its address says nothing of who sent; Trusted as well
	TLS      TLS
	Helo     Hello
	Conduct  Conduct
	Snapshot *Snapshot // the configuration it began under, kept to its end
	Facts    Facts     // what is worth knowing once per connection
	Findings []Finding // of the Connect stage
	Done     time.Time // when it ended; zero while it lasts

	Transactions int    // begun
	Accepted     int    // messages that got a 250
	Errors       int    // replies of 5xx to commands
	Commands     int    // lines read
	Octets       int64  // of message content taken
	End          string // why it ended: a word of the closed list in this package
}

// The ways a session ends.
const (
	EndQuit     = "quit"
	EndClosed   = "closed"   // the client closed
	EndTimeout  = "timeout"  // a command or the whole session took too long
	EndLimit    = "limit"    // too many errors, commands or transactions
	EndRefused  = "refused"  // a verdict dropped it
	EndProtocol = "protocol" // binary junk, HTTP, data behind STARTTLS
	EndTLS      = "tls"      // the handshake failed
	EndShutdown = "shutdown" // the gateway stops
	EndFault    = "fault"    // a fault of ours
)

// Hello is what the client said of itself.
type Hello struct {
	Name     string // as given, cleaned of control octets
	Extended bool   // EHLO
	Valid    bool   // a domain or an address literal by RFC 5321 section 4.1.1.1
	Literal  bool
}

// TLS is what is true of the encryption of a session; the zero value is a session in clear.
type TLS struct {
	Version    string `json:"version,omitempty"` // "TLS1.3"
	Cipher     string `json:"cipher,omitempty"`
	ServerName string `json:"sni,omitempty"`
	Client     string `json:"client,omitempty"` // subject of a client certificate, if one was given
}

// On reports whether the session is encrypted.
func (t TLS) On() bool { return t.Version != "" }

// Protocol returns the "with" word of a Received field (RFC 3848, RFC 6531 section 4.3).
func (s *Session) Protocol(utf8 bool) string {
	switch {
	case !s.Helo.Extended:
		return "SMTP"
	case utf8 && s.TLS.On():
		return "UTF8SMTPS"
	case utf8:
		return "UTF8SMTP"
	case s.TLS.On():
		return "ESMTPS"
	}
	return "ESMTP"
}

// Inside reports whether an address is loopback, private, link-local, or shared by a carrier (RFC 6598): one that the
// internet does not route.
func Inside(a netip.Addr) bool {
	a = a.Unmap()
	shared := a.Is4() && a.As4()[0] == 100 && a.As4()[1]&0xc0 == 64
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || shared
}
