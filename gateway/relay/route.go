package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Mode is what is asked of the encryption towards a next hop.
type Mode uint8

// The modes of TLS.
const (
	Opportunistic Mode = iota // STARTTLS when it is offered, any certificate; in clear when the handshake fails
	None                      // always in clear
	Required                  // STARTTLS with a certificate that is valid for the server's name; nothing in clear
	Fingerprint               // STARTTLS with one of the pinned certificates or keys; nothing in clear
	DANE                      // as the TLSA records of the next hop say (RFC 7672); without any, Opportunistic
	DANEOnly                  // as DANE; without any that can be used, nothing is sent
)

func (m Mode) String() string {
	switch m {
	case Opportunistic:
		return "opportunistic"
	case None:
		return "none"
	case Required:
		return "required"
	case Fingerprint:
		return "fingerprint"
	case DANE:
		return "dane"
	case DANEOnly:
		return "dane-only"
	}
	return "unknown(" + strconv.Itoa(int(m)) + ")"
}

// Hop is one next hop of a route.
type Hop struct {
	Host   string // a name or an address, without brackets; "unix:" and a path is a socket of this host, for LMTP
	MX     string // in place of Host: a domain whose mail hosts are meant; Order and Weight are then below those of the Hop
	SRV    string // in place of Host: a service, as _smtp._tcp.example.org; Port is then of no account
	Port   int    // 0 is 25
	Order  int    // lower ones are tried first
	Weight int    // share among those of the same order, as in SRV records (RFC 2782); 0 counts as 1
	Secure bool   // of a Resolver: the records that name it were validated by DNSSEC
	found  bool   // in DNS, where its addresses are to be looked up as well
	domain string // whose mail host it is, where that was found by MX
}

// unixPrefix is what a Host begins with that is the path of a socket.
const unixPrefix = "unix:"

func (h Hop) unix() bool { return strings.HasPrefix(h.Host, unixPrefix) }

// Address is host:port as it is dialled and shown, or unix:path.
func (h Hop) Address() string {
	switch {
	case h.MX != "":
		return "mx:" + h.MX
	case h.SRV != "":
		return "srv:" + h.SRV
	case h.unix():
		return h.Host
	}
	port := h.Port
	if port == 0 {
		port = 25
	}
	return net.JoinHostPort(h.Host, strconv.Itoa(port))
}

// Timeouts bound the steps of a dialogue. A zero is the default named beside it.
type Timeouts struct {
	Connect time.Duration // to connect, and for the TLS handshake (10 s)
	Command time.Duration // for each whole reply but the last (60 s)
	Write   time.Duration // for each write of the body (180 s, RFC 5321 section 4.5.3.2.5)
	Final   time.Duration // for the reply after the end of the message (300 s)
	Slot    time.Duration // to wait for a free connection of a full pool (30 s)
	Idle    time.Duration // that a connection is kept unused (60 s)
}

// Defaults of Route.
const (
	DefaultPoolSize = 20 // under Postfix's limit for one client, 50
	DefaultQueue    = 500
	maxUses         = 100 // messages on one connection
	maxAge          = 10 * time.Minute
)

// Route is how mail for some domains goes on.
type Route struct {
	Name string
	Hops []Hop
	LMTP bool // spoken in place of SMTP (RFC 2033)
	TLS  Mode
	// Fingerprints are those pinned by the mode Fingerprint. Each is the SHA-256 of the whole certificate (DER) or of
	// its public key (SubjectPublicKeyInfo); the one of a key survives a renewal. Names and dates do not matter then.
	Fingerprints []Digest
	// MTASTS has the MTA-STS policy of a domain whose mail hosts are found by MX count, in the modes Opportunistic and DANE.
	MTASTS      bool
	RootCAs     *x509.CertPool   // for the mode Required; nil are the system's
	ServerName  string           // the name that the certificate must have; "" is the hop's host
	Certificate *tls.Certificate // shown where the hop asks who we are; nil for none
	Auth        *Auth            // nil for none
	Forward     Forward          // how hops are told whom a message came from
	PoolSize    int              // connections to each hop, at most; 0 is DefaultPoolSize
	// Queue is how many messages may wait for a connection to a hop, and how many questions about recipients; 0 is
	// DefaultQueue. What comes beyond is told 451 at once, and at RCPT already (gateway.Carries.Defer).
	Queue    int
	Rate     Rate // of messages to each hop; what is over it waits as for a connection
	Timeouts Timeouts
	Hostname string // our name in EHLO
	// Chunking sends bodies by BDAT where the next hop offers it. It is off by default: it saves no round trip and is no
	// faster than DATA, which sends what the strict reader found clean from where it lies, and everything else through the
	// dot-writer, a second guard in front of the next hop.
	Chunking bool
}

// Digest is a SHA-256 fingerprint.
type Digest [sha256.Size]byte

// ErrDigest says that a text is no SHA-256 fingerprint.
var ErrDigest = errors.New("fingerprint: not the 64 hexadecimal digits of a SHA-256")

// ParseDigest reads a fingerprint as tools print it: 64 hexadecimal digits in either case, with or without colons.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if err != nil || len(raw) != len(d) {
		return d, ErrDigest
	}
	return Digest(raw), nil
}

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// check finds what makes a route unusable.
func (r *Route) check() error {
	switch {
	case r.Name == "":
		return errors.New("relay: a route without a name")
	case len(r.Hops) == 0:
		return fmt.Errorf("relay: route %q has no next hop", r.Name)
	case r.Hostname == "" || strings.ContainsAny(r.Hostname, " \t\r\n"):
		return fmt.Errorf("relay: route %q: %q is no name for EHLO", r.Name, r.Hostname)
	case r.TLS > DANEOnly:
		return fmt.Errorf("relay: route %q: no such TLS mode", r.Name)
	case r.TLS == Fingerprint && len(r.Fingerprints) == 0:
		return fmt.Errorf("relay: route %q pins certificates and names no fingerprint", r.Name)
	case r.Auth != nil && r.Auth.check(r.TLS) != nil:
		return fmt.Errorf("relay: route %q: %w", r.Name, r.Auth.check(r.TLS))
	case r.Forward > XClient:
		return fmt.Errorf("relay: route %q: no such way to tell of clients", r.Name)
	case r.PoolSize < 0:
		return fmt.Errorf("relay: route %q: a pool of %d connections", r.Name, r.PoolSize)
	case r.Rate.N < 0 || r.Rate.N > 0 && r.Rate.every() <= 0:
		return fmt.Errorf("relay: route %q: %d messages in %s", r.Name, r.Rate.N, r.Rate.Period)
	case r.Queue < 0:
		return fmt.Errorf("relay: route %q: a queue of %d", r.Name, r.Queue)
	}
	seen := make(map[string]bool)
	for _, h := range r.Hops {
		switch err := h.check(); {
		case err != nil:
			return fmt.Errorf("relay: route %q: %w", r.Name, err)
		case h.unix() && !r.LMTP:
			return fmt.Errorf("relay: route %q: %s is a socket, which is for LMTP", r.Name, h.Host)
		case seen[h.Address()]:
			return fmt.Errorf("relay: route %q names %s twice", r.Name, h.Address())
		case (h.MX != "" || h.SRV != "") && r.TLS == Required && r.ServerName == "":
			return fmt.Errorf("relay: route %q: the certificate of %s must be of a name that is not from DNS", r.Name, h.Address())
		}
		seen[h.Address()] = true
	}
	return nil
}

// check finds what makes a hop unusable.
func (h Hop) check() error {
	ways := 0
	for _, name := range [...]string{h.Host, h.MX, h.SRV} {
		if name == "" {
			continue
		}
		if ways++; !h.unix() && strings.ContainsAny(name, " []\t\r\n/") {
			return fmt.Errorf("%q is no host", name)
		}
	}
	switch {
	case ways != 1 || strings.Trim(h.Host, ".") == "" && h.Host != "":
		return fmt.Errorf("%q is no host", h.Host)
	case h.Port < 0 || h.Port > 65535:
		return fmt.Errorf("no port %d", h.Port)
	case h.Weight < 0:
		return fmt.Errorf("weight %d of %s", h.Weight, h.Host)
	}
	return nil
}

// withDefaults fills what was not said.
func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	set(&t.Connect, 10*time.Second)
	set(&t.Command, 60*time.Second)
	set(&t.Write, 180*time.Second)
	set(&t.Final, 300*time.Second)
	set(&t.Slot, 30*time.Second)
	set(&t.Idle, 60*time.Second)
	return t
}
