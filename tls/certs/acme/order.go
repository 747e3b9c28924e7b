package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	wire "golang.org/x/crypto/acme"
)

// request is one order for a certificate.
type request struct {
	names  []string
	key    crypto.Signer // of the certificate
	solver Solver
	open   string               // the address of an order that was not over; empty: none
	placed func(address string) // is told the address of a new order before anything else is done with it
}

// order gets one certificate, leaf first.
func (a *Authority) order(ctx context.Context, r request) (chain [][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	chain, err = a.orderOnce(ctx, r)
	if isProblem(err, "accountDoesNotExist") {
		// The authority has lost us, or was made anew: our key makes the account again.
		if err := a.forget(); err != nil {
			return nil, err
		}
		r.open = ""
		chain, err = a.orderOnce(ctx, r)
	}
	return chain, err
}

func (a *Authority) orderOnce(ctx context.Context, r request) ([][]byte, error) {
	c, err := a.ready(ctx)
	if err != nil {
		return nil, err
	}
	defer c.HTTPClient.CloseIdleConnections()
	o, err := a.place(ctx, c, r)
	if err != nil {
		return nil, err
	}
	if o.Status == wire.StatusValid { // it was over but for the last step
		return c.FetchCert(ctx, o.CertURL, true)
	}
	if o.Status == wire.StatusPending {
		if err := a.prove(ctx, c, r, o); err != nil {
			return nil, err
		}
	}
	if o, err = c.WaitOrder(ctx, o.URI); err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: r.names}, r.key)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	chain, _, err := c.CreateCertFromOrder(ctx, o, csr, true)
	return chain, err
}

// place takes up the order that was not over, where the authority still has it, and places a new one else.
func (a *Authority) place(ctx context.Context, c *wire.Client, r request) (*wire.Order, error) {
	if r.open != "" {
		o, err := c.GetOrder(ctx, r.open)
		if err == nil && slices.Contains([]string{wire.StatusPending, wire.StatusReady, wire.StatusProcessing, wire.StatusValid}, o.Status) &&
			sameNames(r.names, named(o)) {
			o.URI = r.open
			return o, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
	o, err := c.AuthorizeOrder(ctx, wire.DomainIDs(r.names...))
	if err != nil {
		return nil, err
	}
	if o.URI == "" {
		return nil, errors.New("the authority gave the order no address")
	}
	if !sameNames(r.names, named(o)) {
		return nil, fmt.Errorf("the authority made an order for other names: %s", clean(strings.Join(named(o), ", "), 300))
	}
	r.placed(o.URI)
	return o, nil
}

func named(o *wire.Order) (out []string) {
	for _, id := range o.Identifiers {
		out = append(out, id.Value)
	}
	return out
}

func sameNames(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.EqualFunc(a, b, strings.EqualFold)
}

// open is an authorization that waits for its challenge.
type open struct {
	uri   string
	given *wire.Challenge
	shown Challenge
}

// prove shows that the names of an order are ours: all answers are made visible, then the authority looks, and whatever comes
// of it they are taken away.
func (a *Authority) prove(ctx context.Context, c *wire.Client, r request, o *wire.Order) error {
	if len(o.AuthzURLs) == 0 || len(o.AuthzURLs) > len(r.names) {
		return fmt.Errorf("the authority wants %d proofs for %d names", len(o.AuthzURLs), len(r.names))
	}
	var all []*open
	defer func() {
		most := cleanTime
		if ctx.Err() != nil {
			most = hurryTime
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
		defer cancel()
		for _, x := range all {
			if bad := r.solver.Remove(ctx, x.shown); bad != nil {
				a.Log.Warn("acme: the answer to a challenge could not be taken away", "name", x.shown.Name, "error", words(bad))
			}
		}
	}()
	for _, uri := range o.AuthzURLs {
		x, err := challenge(ctx, c, r, uri)
		if err != nil {
			return err
		}
		if x == nil {
			continue // proved before (RFC 8555 section 7.1.4)
		}
		all = append(all, x)
		if err := r.solver.Present(ctx, x.shown); err != nil {
			return fmt.Errorf("%s: %w", x.shown.Name, err)
		}
	}
	for _, x := range all {
		if x.given.Status == wire.StatusProcessing {
			continue // it was told before the order was taken up again
		}
		if _, err := c.Accept(ctx, x.given); err != nil {
			return fmt.Errorf("%s: %w", x.shown.Name, err)
		}
	}
	for _, x := range all {
		if _, err := c.WaitAuthorization(ctx, x.uri); err != nil {
			return fmt.Errorf("%s: %w", x.shown.Name, err)
		}
	}
	return nil
}

// challenge reads an authorization and makes the answer to its challenge; nil where it is proved already.
func challenge(ctx context.Context, c *wire.Client, r request, uri string) (*open, error) {
	z, err := c.GetAuthorization(ctx, uri)
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(z.Identifier.Value)
	ordered := name
	if z.Wildcard {
		ordered = "*." + name
	}
	if z.Identifier.Type != "dns" || !slices.Contains(r.names, ordered) {
		return nil, fmt.Errorf("the authority wants a proof for %s, which was not ordered", clean(z.Identifier.Value, 100))
	}
	if z.Status == wire.StatusValid {
		return nil, nil
	}
	if z.Status != wire.StatusPending {
		return nil, fmt.Errorf("%s: the authorization is %s", name, clean(z.Status, 40))
	}
	var offered []string
	for _, given := range z.Challenges {
		if given.Type != r.solver.Type() {
			offered = append(offered, given.Type)
			continue
		}
		x := &open{uri: uri, given: given, shown: Challenge{Name: name, Token: given.Token}}
		return x, answer(c, x)
	}
	return nil, fmt.Errorf("%s: the authority offers no %s, only %s", name, r.solver.Type(), clean(strings.Join(offered, ", "), 100))
}

// answer makes what is shown.
func answer(c *wire.Client, x *open) (err error) {
	if !isToken(x.shown.Token) {
		return fmt.Errorf("%s: the token of the challenge is none", x.shown.Name)
	}
	switch x.given.Type {
	case "http-01":
		x.shown.Answer, err = c.HTTP01ChallengeResponse(x.given.Token)
	case "dns-01":
		x.shown.Answer, err = c.DNS01ChallengeRecord(x.given.Token)
	case "tls-alpn-01":
		var cert tls.Certificate
		cert, err = c.TLSALPN01ChallengeCert(x.given.Token, x.shown.Name)
		x.shown.Certificate = &cert
	}
	return err
}

// isToken reports whether a token is in base64url with enough in it (RFC 8555 section 8.1).
func isToken(t string) bool {
	const least, most = 22, 256
	return len(t) >= least && len(t) <= most && !strings.ContainsFunc(t, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
