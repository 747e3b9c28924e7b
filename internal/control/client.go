package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// byField is where the command line says who sits at the terminal: the socket knows the user of the system only.
const byField = "X-Gatepost-By"

// SaidBy is who a request of the socket says that asks; "" where it says nothing. It is a claim of somebody who may do everything.
func SaidBy(r *http.Request) string { return r.Header.Get(byField) }

// Client asks the daemon at a socket, or one elsewhere by its API.
type Client struct {
	http  *http.Client
	root  string // of all addresses
	where string // as people name it
	path  string // of the socket; "" of an API
	token string

	By string // who sits at the terminal, for the journal; the API knows by the token
}

// NewClient returns a client of the socket; it does not connect.
func NewClient(path string) *Client {
	dialer := net.Dialer{Timeout: dialTime}
	return &Client{root: "http://gatepost", where: "control socket " + path, path: path, http: &http.Client{Timeout: verbTime + readTime, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }}}}
}

// Remote is where another host's API is, and how to be let in.
type Remote struct {
	Server string // https://name[:port]
	Token  string
	CA     []byte // PEM; the only authorities that are trusted. nil: those of the system
}

// apiRoot is where the console serves operations to programs.
const apiRoot = "/api/v1"

// NewRemote returns a client of an API; it does not connect. The connection is always TLS, and the certificate is always
// verified: a token is a password.
func NewRemote(r Remote) (*Client, error) {
	u, err := url.Parse(r.Server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server: %q is no address of a console; write https://name or https://name:port", r.Server)
	}
	if r.Token == "" || strings.ContainsFunc(r.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errors.New("token: there is none, or it has characters that no token has")
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CA != nil {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(r.CA) {
			return nil, errors.New("ca: there is no certificate in it")
		}
	}
	dialer := net.Dialer{Timeout: readTime}
	return &Client{root: "https://" + u.Host + apiRoot, where: u.Host, token: r.Token, http: &http.Client{Timeout: verbTime + readTime,
		// A redirect would hand the token to whoever it names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext, TLSClientConfig: t, TLSHandshakeTimeout: readTime, Proxy: http.ProxyFromEnvironment}}}, nil
}

// send sends a request, and reads the reply into out. The error is ErrNotRunning when nobody answers, a *Fault when the daemon
// says no, os.ErrPermission when the socket is another user's.
func (c *Client) send(ctx context.Context, r *Request, out any) error {
	body := r.Raw
	if r.Body != nil {
		from, to := io.Pipe()
		go func() { to.CloseWithError(json.NewEncoder(to).Encode(r.Body)) }()
		body = from
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, c.root+r.Path, body)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.Raw != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	} else if c.By != "" {
		req.Header.Set(byField, c.By)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.failed(err)
	}
	defer resp.Body.Close()
	return answer(resp, out)
}

// failed words what kept a question from being asked.
func (c *Client) failed(err error) error {
	switch {
	case c.path != "" && errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w: be root or the daemon's user", c.where, os.ErrPermission)
	case c.path != "" && errors.Is(err, os.ErrNotExist), c.path != "" && errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s: %w", c.where, ErrNotRunning)
	case c.path == "":
		return fmt.Errorf("%s: %w: %w", c.where, ErrUnreachable, err)
	}
	return fmt.Errorf("control: %w", err)
}

// answer reads a reply into out.
func answer(resp *http.Response, out any) error {
	reply := io.LimitReader(resp.Body, maxReply)
	if resp.StatusCode >= 300 {
		fault := &Fault{}
		if err := json.NewDecoder(reply).Decode(fault); err != nil || fault.Message == "" {
			fault.Message = "the daemon answered " + resp.Status
		}
		fault.Status = resp.StatusCode
		return fault
	}
	if f, ok := out.(*File); ok {
		f.Type = resp.Header.Get("Content-Type")
		if _, p, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
			f.Name = plainName(p["filename"])
		}
		data, err := io.ReadAll(reply)
		if f.Data = data; err != nil {
			return fmt.Errorf("control: reply: %w", err)
		}
		return nil
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(reply).Decode(out); err != nil {
		return fmt.Errorf("control: reply: %w", err)
	}
	return nil
}
