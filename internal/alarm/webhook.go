package alarm

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/hook"
)

// Webhook posts notices as JSON. It follows no redirect, asks no proxy, and reads of an answer no more than it shows.
type Webhook struct {
	URL    string        // https, or http to a loopback address
	Secret []byte        // that requests are signed with; nil: they are not
	Time   time.Duration // of a whole call; 0: 15 s
	TLS    *tls.Config   // nil: the system's authorities, TLS 1.2 or later
	// Dial connects; nil: as the system does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	webhookTime = 15 * time.Second
	maxAnswer   = 512 // octets that are shown
)

// Send posts a notice. Any status of 200 to 299 is success.
func (w *Webhook) Send(ctx context.Context, n *Notice) (string, error) {
	body, err := json.Marshal(struct {
		Format  int    `json:"format"`
		Subject string `json:"subject"`
		Text    string `json:"text"` // what most chat programs show
		*Notice
	}{1, n.Subject(), n.Text(), n})
	if err != nil {
		return "", err
	}
	limit := w.Time
	if limit <= 0 {
		limit = webhookTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return "", errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Gatepost")
	if w.Secret != nil {
		req.Header.Set("X-Gatepost-Signature", hook.Sign(w.Secret, time.Now(), body))
	}
	transport := &http.Transport{TLSClientConfig: w.TLS, DialContext: w.dial(req.URL), DisableKeepAlives: true, DisableCompression: true,
		TLSHandshakeTimeout: limit, MaxResponseHeaderBytes: 16 << 10}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL itself may hold a secret, and is not told
		}
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	said := gateway.CleanText(strconv.Itoa(resp.StatusCode)+" "+string(text), 300)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return said, errors.New(said)
	}
	if err != nil {
		return said, err
	}
	return said, nil
}

// Where is the URL without what may be a secret: most services have theirs in the path.
func (w *Webhook) Where() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// dial connects, and in clear to this host only, whatever a name resolves to.
func (w *Webhook) dial(to *url.URL) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := w.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if to.Scheme != "http" {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if a, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			_ = conn.Close()
			return nil, fmt.Errorf("%s is not this host, and http is in clear", conn.RemoteAddr())
		}
		return conn, nil
	}
}
