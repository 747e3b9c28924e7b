package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"gatepost/internal/smtpwire"
	"gatepost/tls/dane"
)

// Fault says in one word what is wrong at a step of a Probe: who shows it knows what to do about each.
type Fault string

// The faults.
const (
	NoFault          Fault = ""
	NoSuchName       Fault = "no-such-name"      // DNS has no address, or no record, of the name
	NoAnswerOfDNS    Fault = "dns"               // DNS does not say whether there is one
	Loop             Fault = "loop"              // it is ourselves
	Refused          Fault = "refused"           // nobody listens there, or a firewall says so
	NoWay            Fault = "unreachable"       // there is no way to the network or the host
	NoAnswer         Fault = "timeout"           // nothing came in time
	Closed           Fault = "closed"            // it closes the connection
	NotSMTP          Fault = "not-smtp"          // what it says is no reply of SMTP
	SaidNo           Fault = "said-no"           // a reply that is none for this step
	NoStartTLS       Fault = "no-starttls"       // it does not offer, or refuses, STARTTLS
	BadHandshake     Fault = "handshake"         // TLS fails for another reason than its certificate
	WrongName        Fault = "wrong-name"        // the certificate is of another name
	Expired          Fault = "expired"           // or not valid yet
	UnknownAuthority Fault = "unknown-authority" // nobody whom we trust has signed the certificate
	NotPinned        Fault = "not-pinned"        // the certificate is none of fingerprints
	NoTLSA           Fault = "no-tlsa"           // the route asks for DANE, and there is nothing to go by
	WrongTLSA        Fault = "wrong-tlsa"        // the certificate is none of its TLSA records, or those are bogus
	NotInPolicy      Fault = "not-in-policy"     // the MTA-STS policy names other hosts
	NoLogin          Fault = "login"             // it does not take user and password
	SenderRefused    Fault = "sender-refused"    // it takes no mail from us
	RecipientRefused Fault = "recipient-refused" // it does not know whom it must know
	Postponed        Fault = "postponed"         // it answers with 4xx
	Everybody        Fault = "everybody"         // it takes recipients that cannot exist
	OtherFault       Fault = "other"             // what is none of these
)

// Faults are all but NoFault.
func Faults() []Fault {
	return []Fault{NoSuchName, NoAnswerOfDNS, Loop, Refused, NoWay, NoAnswer, Closed, NotSMTP, SaidNo, NoStartTLS, BadHandshake, WrongName, Expired, UnknownAuthority, NotPinned, NoTLSA, WrongTLSA,
		NotInPolicy, NoLogin, SenderRefused, RecipientRefused, Postponed, Everybody, OtherFault}
}

// faultOf names what an error at a step is.
func faultOf(at string, err error) Fault {
	if at == ProbeFind {
		return faultOfDNS(err)
	}
	if at == ProbePolicy || errors.Is(err, errTLS) || errors.Is(err, errNoTLS) {
		return faultOfTLS(err)
	}
	if f, ok := errors.AsType[*failure](err); ok && f.reply.Code != 0 {
		switch at {
		case ProbeTLS:
			return NoStartTLS
		case ProbeLogin:
			return NoLogin
		}
		return SaidNo
	}
	if found := faultOfNetwork(err); found != OtherFault {
		return found
	}
	if at == ProbeLogin {
		return NoLogin
	}
	return OtherFault
}

func faultOfDNS(err error) Fault {
	switch {
	case errors.Is(err, errLoop):
		return Loop
	case errors.Is(err, context.DeadlineExceeded):
		return NoAnswerOfDNS
	}
	return lookedUp(err, NoSuchName)
}

func faultOfNetwork(err error) Fault {
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		if d.IsNotFound {
			return NoSuchName
		}
		return NoAnswerOfDNS
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errLoop):
		return Loop
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return NoWay
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return NoAnswer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return Closed
	case errors.Is(err, smtpwire.ErrReplySyntax), errors.Is(err, smtpwire.ErrReplyCodes), errors.Is(err, smtpwire.ErrReplyLength), errors.Is(err, smtpwire.ErrLineTooLong),
		errors.Is(err, smtpwire.ErrBareLF), errors.Is(err, smtpwire.ErrBareCR), errors.Is(err, smtpwire.ErrNUL), errors.Is(err, errOutOfTurn):
		return NotSMTP
	}
	return lookedUp(err, OtherFault)
}

// lookedUp is what an error of a Resolver says, which may tell whether it is one that there is nothing; otherwise for any other.
func lookedUp(err error, otherwise Fault) Fault {
	if told, ok := errors.AsType[notFound](err); ok {
		if told.NotFound() {
			return NoSuchName
		}
		return NoAnswerOfDNS
	}
	return otherwise
}

// notFound is an error that tells whether it is one.
type notFound interface {
	error
	NotFound() bool
}

func faultOfTLS(err error) Fault {
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		return Expired
	}
	switch {
	case errors.Is(err, errNoTLS):
		return NoStartTLS
	case errors.Is(err, errNotNamed):
		return NotInPolicy
	case errors.Is(err, errNoTLSA):
		return NoTLSA
	case errors.Is(err, errNotPinned):
		return NotPinned
	case errors.As(err, new(x509.HostnameError)):
		return WrongName
	case errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.CertificateInvalidError)), errors.As(err, new(x509.SystemRootsError)):
		return UnknownAuthority
	case errors.Is(err, dane.ErrBogus), errors.Is(err, dane.ErrMatch), errors.Is(err, dane.ErrName), errors.Is(err, dane.ErrDate), errors.Is(err, dane.ErrChain):
		return WrongTLSA
	case errors.As(err, new(tls.AlertError)), errors.As(err, new(tls.RecordHeaderError)):
		return BadHandshake
	}
	if found := faultOfNetwork(err); found == NoSuchName || found == NoAnswerOfDNS || found == NoAnswer {
		return found
	}
	return BadHandshake
}
