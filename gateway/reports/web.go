package reports

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"gatepost/gateway"
	"gatepost/tls/tlsrpt"
)

// Web sends what goes by https, as http.Client.
type Web interface {
	Do(r *http.Request) (*http.Response, error)
}

// The bounds of one post.
const (
	webStep   = 30 * time.Second // for the connection, the handshake, and the beginning of the answer
	webAnswer = 4 << 10          // octets of the answer that are read
	webFields = 16 << 10         // of its header fields
	webHops   = 3                // redirects
)

// NewWeb makes a Web that connects by dial. The certificate of the other side must be valid for its name, by the system's
// authorities or those of roots: nothing is sent before that is sure, so that whoever publishes a record cannot make us talk
// to hosts of our own network. No proxy, no cookie, no connection that is kept.
func NewWeb(dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool) *http.Client {
	t := &http.Transport{DialContext: dial, TLSHandshakeTimeout: webStep, ResponseHeaderTimeout: webStep, MaxResponseHeaderBytes: webFields,
		DisableKeepAlives: true, DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return &http.Client{Transport: t, CheckRedirect: sameHost}
}

// sameHost follows only what asks for the same post again (307, 308) at the same host.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0]
	if next.Method != first.Method || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host || len(before) > webHops {
		return http.ErrUseLastResponse
	}
	return nil
}

// post sends a packed report (RFC 8460 section 5.4). Whatever is not a success is tried again for a day (section 5.5).
func (s *Settings) post(ctx context.Context, to string, packed []byte) gateway.Relayed {
	failed := func(said string) gateway.Relayed {
		return gateway.Relayed{Result: gateway.NotDelivered, At: "https", Said: gateway.CleanText(said, 300)}
	}
	if s.Web == nil {
		return failed(noWeb)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(packed))
	if err != nil {
		return failed(err.Error())
	}
	r.Header.Set("Content-Type", tlsrpt.MediaType)
	r.Header.Set("User-Agent", s.Generator)
	answer, err := s.Web.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the address stands beside it
		}
		return failed(err.Error())
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, webAnswer)) // a success that breaks off is one
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return gateway.Relayed{Result: gateway.Delivered, Said: "HTTP " + gateway.CleanText(answer.Status, 100)}
	case err != nil:
		return failed(fmt.Sprintf("HTTP %s, then %v", answer.Status, err))
	}
	return failed("HTTP " + answer.Status)
}
