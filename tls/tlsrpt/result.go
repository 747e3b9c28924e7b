package tlsrpt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Result is what went wrong, in the words of RFC 8460 section 4.3.
type Result string

// The result types.
const (
	NoSTARTTLS  Result = "starttls-not-supported"
	HostName    Result = "certificate-host-mismatch"
	Expired     Result = "certificate-expired"
	NotTrusted  Result = "certificate-not-trusted"
	Validation  Result = "validation-failure" // anything that no other word is for
	TLSAInvalid Result = "tlsa-invalid"
	DNSSEC      Result = "dnssec-invalid"
	DANENeeded  Result = "dane-required"
	STSFetch    Result = "sts-policy-fetch-error"
	STSInvalid  Result = "sts-policy-invalid"
	STSWebPKI   Result = "sts-webpki-invalid"
)

// Known reports whether it is one of them.
func (r Result) Known() bool {
	switch r {
	case NoSTARTTLS, HostName, Expired, NotTrusted, Validation, TLSAInvalid, DNSSEC, DANENeeded, STSFetch, STSInvalid, STSWebPKI:
		return true
	}
	return false
}

// Explain says by the type of a handshake's error what went wrong, and in a few words why. The words are the same for the
// same fault, whenever it comes and over whichever ports: sessions that failed alike are counted together.
func Explain(err error) (r Result, code string) {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return HostName, e.Error()
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason != x509.Expired {
			return NotTrusted, e.Error()
		}
		if e.Cert == nil {
			return Expired, ""
		}
		return Expired, fmt.Sprintf("certificate is valid from %s to %s", e.Cert.NotBefore.UTC().Format(time.RFC3339), e.Cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return NotTrusted, e.Error()
	}
	if e, ok := errors.AsType[x509.ConstraintViolationError](err); ok {
		return NotTrusted, e.Error()
	}
	if e, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok {
		return NotTrusted, e.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // crypto/tls: the other side's alert
		return Validation, e.Err.Error()
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return Validation, e.Msg
	}
	return Validation, ended(err)
}

// ended words how a connection ended that no alert ended.
func ended(err error) string {
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return "timed out"
	}
	return ""
}
