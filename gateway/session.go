package gateway

import (
	"net/netip"
	"strings"
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
	Group      string `json:"group,omitempty"`   // of the key agreement: "X25519MLKEM768"; "" where there was none
	Resumed    bool   `json:"resumed,omitempty"` // by a ticket, without a key agreement of TLS 1.2 or a new certificate
	ServerName string `json:"sni,omitempty"`

	// Of the certificate of the client; it is asked for one only where policy can use it.
	Client      string `json:"client,omitempty"` // its subject
	Issuer      string `json:"issuer,omitempty"`
	Certificate string `json:"certificate,omitempty"` // its SHA-256 in hexadecimal; "" where none was given
	Key         string `json:"key,omitempty"`         // the SHA-256 of its public key (SubjectPublicKeyInfo)
	Doubt       string `json:"doubt,omitempty"`       // why it does not verify; "" where it does
}

// On reports whether the session is encrypted.
func (t *TLS) On() bool { return t.Version != "" }

// Bits is the strength of the cipher as its name has it; 0 where it does not.
func (t *TLS) Bits() int {
	switch {
	case strings.Contains(t.Cipher, "AES_128"):
		return 128
	case strings.Contains(t.Cipher, "AES_256"), strings.Contains(t.Cipher, "CHACHA20"):
		return 256
	}
	return 0
}

// CommonName is the common name in a distinguished name as RFC 2253 writes it; all of it where it has none.
func CommonName(name string) string {
	for i := 0; i < len(name); i++ {
		if strings.HasPrefix(name[i:], "CN=") && (i == 0 || name[i-1] == ',' || name[i-1] == '+') {
			end := i + len("CN=")
			for ; end < len(name) && name[end] != ',' && name[end] != '+'; end++ {
				if name[end] == '\\' {
					end++
				}
			}
			return name[i+len("CN=") : min(end, len(name))]
		}
		if name[i] == '\\' {
			i++
		}
	}
	return name
}

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
