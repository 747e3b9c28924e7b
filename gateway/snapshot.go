package gateway

import (
	"net/netip"
	"time"
)

// Snapshot is one configuration in force: what a reload swaps as one. A session keeps the snapshot it began under.
type Snapshot struct {
	Policy   *Policy
	Pipeline *Pipeline
	Limits   Limits
	NextHop  NextHop // the routes of this policy
	Hostname string  // our name in banner, EHLO, Received and Authentication-Results
	Banner   string  // text behind the name
	Offers   Offers
	Gate     Gate
	Tag      SubjectTag
	Banners  map[string]Banner // what Edits.Banners name
	Sealer   Sealer            // nil for none
	// Spools are the routes whose mail is kept in the spool while no next hop of theirs can be reached; for all others the
	// sender keeps it (451).
	Spools map[string]bool
	// MarkQuarantined has quarantined mail delivered with its mark, although there is a vault.
	MarkQuarantined bool
	// AskCertificate says of which clients policy can use a certificate; nil: of none, and none is asked for.
	AskCertificate func(client netip.Addr) bool
	// Bypasses are the checks that are left out for a while; nil: none.
	Bypasses *Bypasses
	// Normalise are networks whose bare CR and LF become CRLF, by exception.
	Normalise func(*Session) bool
}

// SubjectTag is what is put before the subject of mail that is delivered with marks. The zero value leaves subjects alone.
type SubjectTag struct {
	Text   string // UTF-8, without control characters
	Signed bool   // also of signed mail, whose signature then no longer holds
}

// Banner is what is written above the text of a message for its reader. A part that is shown as text gets Text, one that is
// HTML gets HTML; the empty one leaves such parts alone.
type Banner struct {
	Text string // UTF-8; lines end in "\n"
	HTML string // what stands at the beginning of the body of a page; well formed by itself
}

// Gate is how clients are treated before the banner. The zero value lets them in at once and refuses at RCPT.
type Gate struct {
	Wait            time.Duration // how long the banner waits for a client that is not known
	StressWait      time.Duration // the same under stress
	RefuseAtConnect bool          // what is refused by the client's address and conduct is refused in place of the banner
}

// Offers are the ESMTP extensions that we may offer; what the next hops cannot carry is left out besides.
type Offers struct {
	Pipelining, Size, EightBitMIME, SMTPUTF8, Chunking, DSN, StartTLS, Limits, RequireTLS bool
}

// Stress is when load is shed. Marks are shares of Limits.Connections and of the memory limit; zero: never.
type Stress struct {
	ConnectionsOn, ConnectionsOff   float64
	MemoryOn, MemoryOff, MemoryFull float64
	CommandTimeout                  time.Duration // under stress
}

// Limits bound what one client can take (PRODUCT: defaults). Zero never means without limit: the configuration fills each.
type Limits struct {
	Connections      int           // in all
	PerClient        int           // at once from one address (IPv6: /64) of which nothing is known
	PerClientKnown   int           // from one that passed the tests of the gate
	PerClientBad     int           // from one that failed them
	PerNetwork       int           // from an IPv4 /26 or IPv6 /56
	PerWideNetwork   int           // from an IPv4 /21 or IPv6 /48
	Stress           Stress        //
	CommandLine      int           // octets of a command line with its CRLF
	HeaderSize       int           // octets of a header section
	Hops             int           // Received fields
	Recipients       int           // in a transaction of an unknown client
	RecipientsKnown  int           // in a transaction of a trusted one
	Transactions     int           // in a session
	MessageSize      int64         // octets of a message, as offered in SIZE
	Errors           int           // replies of 5xx to commands before 421
	SlowAfter        int           // errors before each further one costs ErrorDelay
	ErrorDelay       time.Duration //
	UnknownCommands  int           // before 421
	JunkCommands     int           // that bring no message, since the last message, before each further one costs ErrorDelay; Errors more end in 421
	TransactionDelay time.Duration // at most, of all delays in one transaction
	CommandTimeout   time.Duration // to read one command line
	SessionTime      time.Duration // of a session, not counting messages on their way in
	DataTimeout      time.Duration // between two reads in a message
	DataTime         time.Duration // for a whole message, at least
	DataSizeRate     int64         // octets a second by which a big message gets more than DataTime
	DataRate         int64         // octets a second at least, over DataRateWindow; 0 for no such limit
	DataRateWindow   time.Duration
	HandshakeTimeout time.Duration
	WriteTimeout     time.Duration
	VerdictTime      time.Duration // for all checks after the dot
	ReplyTime        time.Duration // from the dot to our reply
}
