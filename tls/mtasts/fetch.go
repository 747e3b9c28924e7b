package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"
)

// FetchTime is how long fetching a policy may take in all (RFC 8461 section 3.3).
const FetchTime = time.Minute

// Path is where the policy is on its host (RFC 8461 section 3.3).
const Path = "/.well-known/mta-sts.txt"

// maxFetchHeader is how many octets of header a policy host may send.
const maxFetchHeader = 16 << 10

// The result types of RFC 8460 section 4.3.2.2 that are of a policy.
const (
	FetchError    = "sts-policy-fetch-error" // it could not be fetched
	PolicyInvalid = "sts-policy-invalid"     // it was fetched and is none
	WebPKIInvalid = "sts-webpki-invalid"     // the certificate of its host is not valid for it
)

// Fault is why there is no policy, beside the record that promises one.
type Fault struct {
	Result string // FetchError, PolicyInvalid or WebPKIInvalid
	Err    error  // the cause
}

// Error is what went wrong.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap is the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Fetcher fetches policies from their hosts. The zero value is ready.
//
// Nothing is sent to a host before its certificate was verified for mta-sts.<domain>, so that a name that leads to an inside
// address has nobody there asked anything.
type Fetcher struct {
	Dial  func(ctx context.Context, network, address string) (net.Conn, error) // address is a name with port 443; nil: the system's
	Roots *x509.CertPool                                                       // nil: the system's
}

// Fetch fetches the policy of a domain, at most FetchTime, and reads it. Its ID is left to the caller. Its error is a *Fault:
// redirects are not followed, and what is not text/plain or longer than MaxPolicy is none (RFC 8461 section 3.3).
func (f *Fetcher) Fetch(ctx context.Context, domain string) (*Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, FetchTime)
	defer cancel()
	text, err := f.get(ctx, domain)
	if err != nil {
		var unverified *tls.CertificateVerificationError
		if errors.As(err, &unverified) {
			return nil, &Fault{WebPKIInvalid, fmt.Errorf("mta-sts: the certificate of the policy host: %w", unverified.Err)}
		}
		return nil, &Fault{FetchError, err}
	}
	p, err := Parse(text)
	if err != nil {
		return nil, &Fault{PolicyInvalid, err}
	}
	return p, nil
}

// get reads the page.
func (f *Fetcher) get(ctx context.Context, domain string) ([]byte, error) {
	transport := &http.Transport{DialContext: f.Dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxFetchHeader,
		TLSClientConfig: &tls.Config{ServerName: HostName(domain), RootCAs: f.Roots, MinVersion: tls.VersionTLS12},
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{}} // HTTP/1.1 alone
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+HostName(domain)+Path, nil)
	if err != nil {
		return nil, fmt.Errorf("mta-sts: fetch: %w", err)
	}
	r.Header.Set("User-Agent", "gatepost")
	answer, err := transport.RoundTrip(r) // which follows no redirect
	if err != nil {
		return nil, fmt.Errorf("mta-sts: fetch: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("mta-sts: fetch: the policy host answers with status %d", answer.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return nil, errors.New("mta-sts: fetch: the policy is not sent as text/plain")
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, MaxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("mta-sts: fetch: %w", err)
	}
	if len(text) > MaxPolicy {
		return nil, errors.New("mta-sts: fetch: the policy is longer than 64 KiB")
	}
	return text, nil
}
