package oidc

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Config is what a Client needs.
type Config struct {
	// Issuer is the issuer's name, exactly as it writes it: https, or http at this machine.
	Issuer   string
	ClientID string
	// Secret returns what the issuer gave with ClientID; nil: there is none. It is asked for each login.
	Secret func() (string, error)
	// Scopes are asked for; openid is one of them.
	Scopes []string
	// Name, Mail and Groups are claims of somebody's name, mail address and groups; a dot leads into a claim that has claims.
	Name, Mail, Groups string
	// MailTrusted has the mail address count although the issuer does not say that it verified it.
	MailTrusted bool
	// SecondAMR and SecondACR are what amr has, or acr is, where the issuer asked for a second factor.
	SecondAMR, SecondACR []string
	RootCAs              *x509.CertPool // nil: those of the system
	// Key seals tickets; KeySize octets, the same on all nodes where a login may end.
	Key []byte
	// Timeout bounds one call to the issuer; 0: DefaultTimeout.
	Timeout time.Duration
}

// What comes of a login that does not succeed.
var (
	// ErrAway means that the issuer does not answer, or not as one: nothing was found out.
	ErrAway = errors.New("oidc: the issuer does not answer")
	// ErrRefused means that what came proves nobody: it is forged, too old, was used, or the issuer said no.
	ErrRefused = errors.New("oidc: not proved")
)

// Bounds.
const (
	DefaultTimeout = 10 * time.Second
	LoginTime      = 10 * time.Minute // between Start and Finish
	KeySize        = 32
	MaxTicket      = 2048    // octets of a ticket
	maxAnswer      = 1 << 20 // octets of an answer of the issuer
	maxHeader      = 64 << 10
	maxCode        = 4096
	callsAtOnce    = 8
	knownTime      = time.Hour // that what the issuer says of itself is believed
)

// Client asks one issuer. It is safe for concurrent use.
type Client struct {
	c      Config
	aead   cipher.AEAD
	http   *http.Client
	places chan struct{}
	used   used

	mu       sync.Mutex
	provider *oidc.Provider
	learned  time.Time // when provider was
	asked    time.Time // when the issuer was last asked; zero: never
	failed   error     // of that
}

// New makes a Client. It asks nobody yet.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || c.ClientID == "" || !slices.Contains(c.Scopes, oidc.ScopeOpenID) {
		return nil, errors.New("oidc: needs an issuer, a client ID and the scope openid")
	}
	aead, err := sealer(c.Key)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout: c.Timeout, MaxResponseHeaderBytes: maxHeader, MaxConnsPerHost: callsAtOnce, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	return &Client{c: c, aead: aead, places: make(chan struct{}, callsAtOnce),
		http: &http.Client{Timeout: c.Timeout, Transport: &bounded{transport, u.Scheme == "http"},
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it leads elsewhere") }}}, nil
}

// Issuer is the name of the issuer.
func (c *Client) Issuer() string { return c.c.Issuer }

// Request is how a login is to be.
type Request struct {
	// Redirect is where the browser comes back to: https, and known to the issuer.
	Redirect string
	// Again asks that the issuer prove the person anew, though he may be logged in there.
	Again bool
	// Carry is given back by Finish; at most 1,000 octets.
	Carry string
}

// Start begins a login: the browser is sent to the address, and keeps the ticket, in a cookie that goes along when it comes back
// (SameSite=Lax) and that no script reads. The error is ErrAway.
func (c *Client) Start(ctx context.Context, r Request) (address, ticket string, err error) {
	if len(r.Carry) > 1000 || len(r.Redirect) > 500 {
		return "", "", errors.New("oidc: too long")
	}
	p, err := c.known(ctx)
	if err != nil {
		return "", "", err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Redirect: r.Redirect, Carry: r.Carry, Again: r.Again, Began: time.Now().Unix()}
	if ticket, err = c.seal(a); err != nil {
		return "", "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if r.Again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return c.oauth(p, a.Redirect, "").AuthCodeURL(a.State, options...), ticket, nil
}

// oauth is how the issuer is asked. The way in which we prove ourselves is one that it names, so that no code is tried twice.
func (c *Client) oauth(p *oidc.Provider, redirect, secret string) *oauth2.Config {
	o := &oauth2.Config{ClientID: c.c.ClientID, ClientSecret: secret, Endpoint: p.Endpoint(), RedirectURL: redirect, Scopes: c.c.Scopes}
	var more struct {
		Ways []string `json:"token_endpoint_auth_methods_supported"`
	}
	o.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // where it names none (OpenID Connect Discovery 1.0 section 3)
	if err := p.Claims(&more); err == nil && len(more.Ways) > 0 && !slices.Contains(more.Ways, "client_secret_basic") || secret == "" {
		o.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return o
}

// Check asks the issuer what it says of itself, whatever is known: nil, or ErrAway with why.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.learn(ctx)
	return err
}

// State is what came of the last question that the issuer was asked; asked is false before any.
func (c *Client) State() (asked bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.asked.IsZero(), c.failed
}

// known is what the issuer says of itself, asked again when that is old. Where it does not answer then, what is known counts.
func (c *Client) known(ctx context.Context) (*oidc.Provider, error) {
	c.mu.Lock()
	p, at := c.provider, c.learned
	c.mu.Unlock()
	if p != nil && time.Since(at) < knownTime {
		return p, nil
	}
	fresh, err := c.learn(ctx)
	if err != nil && p != nil {
		return p, nil
	}
	return fresh, err
}

// learn asks the issuer what it says of itself, and looks whether we may believe it.
func (c *Client) learn(ctx context.Context) (*oidc.Provider, error) {
	ctx, done, err := c.place(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := oidc.NewProvider(ctx, c.c.Issuer)
	if err == nil {
		err = c.usable(p)
	}
	c.note(err)
	if err != nil {
		return nil, away(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learned = time.Now()
	if c.provider == nil || c.provider.Endpoint() != p.Endpoint() {
		c.provider = p // else the former one stays, with the keys that it knows
	}
	return c.provider, nil
}

// usable checks that the issuer names what a login needs, in places where nobody listens.
func (c *Client) usable(p *oidc.Provider) error {
	var more struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&more); err != nil {
		return err
	}
	for name, at := range map[string]string{"authorization_endpoint": p.Endpoint().AuthURL, "token_endpoint": p.Endpoint().TokenURL, "jwks_uri": more.Keys} {
		u, err := url.Parse(at)
		if err != nil || u.Host == "" || u.Scheme != "https" && !c.near(u) {
			return fmt.Errorf("its %s is no address of https", name)
		}
	}
	return nil
}

// near reports whether an address of http may be asked, since the issuer itself is at one of this machine.
func (c *Client) near(u *url.URL) bool {
	own, err := url.Parse(c.c.Issuer)
	return err == nil && u.Scheme == "http" && own.Scheme == "http" && u.Hostname() == own.Hostname()
}

// note keeps what came of a call.
func (c *Client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.failed = time.Now(), nil
	if err != nil {
		c.failed = away(err)
	}
}

// place waits for one of the places to ask, and returns a context that has our client and a bound.
func (c *Client) place(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), 2*c.c.Timeout)
	select {
	case c.places <- struct{}{}:
		return ctx, func() { cancel(); <-c.places }, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, fmt.Errorf("%w: too many log in at once", ErrAway)
	}
}
