package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Bounds of Retry-After (RFC 9110 section 10.2.3): while an order is waited for, and where the authority says not now.
const (
	pollLeast = time.Second
	pollMost  = time.Minute
	laterMost = 24 * time.Hour
)

var errAnswerSize = fmt.Errorf("the authority's answer has over %d octets", maxAnswer)

// bounded is the way to an authority for one order: https only, answers that end, waits that are neither nothing nor for ever.
type bounded struct {
	next  http.RoundTripper
	asked atomic.Int64 // requests
}

// patience is how many requests an order may take before it is asked for less often than each second.
const patience = 20

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("the authority names %s, which is not https", clean(r.URL.Redacted(), 200))
	}
	res, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	said, least, most := res.Header.Get("Retry-After"), max(pollLeast, time.Duration(b.asked.Add(1)/patience)*time.Second), pollMost
	if res.StatusCode >= 400 {
		least, most = 0, laterMost
	}
	if said != "" || least > 0 {
		wait := min(max(parseRetryAfter(said, time.Now()), least), most)
		res.Header.Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	}
	res.Body = &limitedBody{ReadCloser: res.Body, left: maxAnswer}
	return res, nil
}

// CloseIdleConnections is called by http.Client.
func (b *bounded) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// parseRetryAfter reads seconds or a date; 0 for anything else.
func parseRetryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return t.Sub(now)
	}
	return 0
}

// limitedBody fails where a body is too big, so that a cut one is never taken for whole.
type limitedBody struct {
	io.ReadCloser
	left int
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		// The end may be exactly here.
		if n, err := l.ReadCloser.Read(make([]byte, 1)); n == 0 && errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		return 0, errAnswerSize
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// dialer connects to an authority.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// newTransport makes the way to an authority whose certificate verifies against roots; nil: those of the system.
func newTransport(roots *x509.CertPool, dial dialer) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 15 * time.Second}).DialContext
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dial, ForceAttemptHTTP2: true,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 30 * time.Second,
		MaxIdleConns: 2, MaxConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10}
}

// newHTTPClient makes the client of one order. It follows no redirect: signed requests name the address that they are for
// (RFC 8555 section 6.4).
func newHTTPClient(way http.RoundTripper) *http.Client {
	return &http.Client{Transport: &bounded{next: way}, Timeout: requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Tries of one request.
const (
	nonceTries  = 30 // a nonce that is refused costs little, and some authorities refuse many (RFC 8555 section 6.5)
	serverTries = 4
)

// pause says how long to wait before the nth repetition of a request; 0: no more. An authority that says "not now" is believed
// at once: the order fails, and the next one waits as it says.
func pause(n int, _ *http.Request, res *http.Response) time.Duration {
	switch {
	case res.StatusCode == http.StatusBadRequest && n <= nonceTries: // only a refused nonce comes here
		return min(time.Duration(n)*20*time.Millisecond, time.Second)
	case res.StatusCode >= 500 && n <= serverTries:
		return time.Duration(n) * 2 * time.Second
	}
	return 0
}
