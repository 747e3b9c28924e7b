package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Person is somebody whom the issuer proved.
type Person struct {
	Subject string    // never that of another at this issuer, and stays
	Name    string    // of the claim Name; an issuer may change it
	Display string    // claim name; "" for none
	Mail    []string  // addresses that the issuer verified; at most one
	Groups  []string  // as the claim has them
	Second  bool      // the issuer asked for a second factor, by SecondAMR or SecondACR
	Proved  time.Time // when he proved himself there; zero where the issuer does not say
	Carry   string    // of the Request
}

// Bounds of what an issuer says of somebody.
const (
	mostGroups = 2000
	longest    = 256 // octets of a name, a subject and a group
	skew       = time.Minute
)

// Finish ends a login by what the browser brings back to Redirect, in the query, and the ticket. Its error is ErrAway or
// ErrRefused, with more for the log and nobody else.
func (c *Client) Finish(ctx context.Context, query url.Values, ticket string) (*Person, error) {
	a, err := c.open(ticket, query.Get("state"))
	if err != nil {
		return nil, err
	}
	if !c.used.take(a.State, time.Now()) {
		return nil, refused("it was ended before")
	}
	if iss := query.Get("iss"); iss != "" && iss != c.c.Issuer { // RFC 9207
		return nil, refused("it comes from another issuer, %q", iss)
	}
	if said := query.Get("error"); said != "" {
		return nil, refused("the issuer says %q: %q", said, query.Get("error_description"))
	}
	code := query.Get("code")
	if code == "" || len(code) > maxCode {
		return nil, refused("there is no code")
	}
	p, err := c.known(ctx)
	if err != nil {
		return nil, err
	}
	ctx, done, err := c.place(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	token, id, err := c.exchange(ctx, p, a, code)
	if err != nil {
		return nil, err
	}
	out, err := c.person(ctx, p, token, id)
	if err != nil {
		return nil, err
	}
	out.Carry = a.Carry
	if a.Again && out.Proved.Before(time.Unix(a.Began, 0).Add(-skew)) {
		return nil, refused("the issuer did not ask again who it is (auth_time)")
	}
	return out, nil
}

// exchange gets the ID token for a code, and verifies it (OpenID Connect Core 1.0 section 3.1.3.7).
func (c *Client) exchange(ctx context.Context, p *oidc.Provider, a attempt, code string) (*oauth2.Token, *oidc.IDToken, error) {
	secret := ""
	if c.c.Secret != nil {
		var err error
		if secret, err = c.c.Secret(); err != nil {
			return nil, nil, away(err)
		}
	}
	token, err := c.oauth(p, a.Redirect, secret).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok && said.Response != nil && said.Response.StatusCode < http.StatusInternalServerError {
		c.note(nil)
		if said.ErrorCode == "invalid_grant" {
			return nil, nil, refused("the issuer does not take the code: %s", said.ErrorDescription)
		}
		return nil, nil, away(errors.New("it does not take our question: " + said.Error())) // our secret, or our ID
	}
	if c.note(err); err != nil {
		return nil, nil, away(err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, nil, refused("the issuer sent no ID token")
	}
	id, err := p.Verifier(&oidc.Config{ClientID: c.c.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, nil, refused("%s", err)
	}
	var more struct {
		Party string `json:"azp"`
	}
	switch err := id.Claims(&more); {
	case err != nil:
		return nil, nil, refused("%s", err)
	case id.Nonce != a.Nonce:
		return nil, nil, refused("the nonce of the ID token is that of another login")
	case more.Party != "" && more.Party != c.c.ClientID || more.Party == "" && len(id.Audience) > 1:
		return nil, nil, refused("the ID token was given to another client, %q", more.Party)
	case id.Subject == "" || len(id.Subject) > longest:
		return nil, nil, refused("the ID token has no subject that can be kept")
	case id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil:
		return nil, nil, refused("the ID token belongs to another access token")
	}
	return token, id, nil
}

// person reads the claims of an ID token, and where it has no name or no groups those of the issuer's endpoint for that.
func (c *Client) person(ctx context.Context, p *oidc.Provider, token *oauth2.Token, id *oidc.IDToken) (*Person, error) {
	claims := map[string]json.RawMessage{}
	if err := id.Claims(&claims); err != nil {
		return nil, refused("%s", err)
	}
	_, named := at(claims, c.c.Name)
	_, grouped := at(claims, c.c.Groups)
	if (!named || !grouped) && p.UserInfoEndpoint() != "" {
		info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return nil, away(err)
		}
		if info.Subject != id.Subject { // OpenID Connect Core 1.0 section 5.3.2
			return nil, refused("what the issuer tells of the user is of another one")
		}
		more := map[string]json.RawMessage{}
		if err := info.Claims(&more); err != nil {
			return nil, refused("%s", err)
		}
		for k, v := range more {
			if _, there := claims[k]; !there && !slices.Contains([]string{"amr", "acr", "auth_time"}, k) {
				claims[k] = v
			}
		}
	}
	out := &Person{Subject: id.Subject, Name: text(claims, c.c.Name), Display: text(claims, "name")}
	if out.Name == "" {
		return nil, refused("the claim %s, which is to name the user, is not there", c.c.Name)
	}
	out.Groups = texts(claims, c.c.Groups)
	if mail := text(claims, c.c.Mail); mail != "" && (c.c.MailTrusted || truth(claims, "email_verified")) {
		out.Mail = []string{mail}
	}
	acr := text(claims, "acr")
	out.Second = acr != "" && slices.Contains(c.c.SecondACR, acr) ||
		slices.ContainsFunc(texts(claims, "amr"), func(m string) bool { return slices.Contains(c.c.SecondAMR, m) })
	var when float64
	if raw, there := claims["auth_time"]; there && json.Unmarshal(raw, &when) == nil && when > 0 && when < 1<<40 {
		out.Proved = time.Unix(int64(when), 0)
	}
	return out, nil
}

// at finds a claim by its name, or, by parts between dots, within others.
func at(claims map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	if raw, there := claims[name]; there {
		return raw, true
	}
	first, rest, dotted := strings.Cut(name, ".")
	within := map[string]json.RawMessage{}
	if !dotted || json.Unmarshal(claims[first], &within) != nil {
		return nil, false
	}
	return at(within, rest)
}

// text is a claim that is a text; "" for another, or one too long.
func text(claims map[string]json.RawMessage, name string) (out string) {
	raw, _ := at(claims, name)
	if json.Unmarshal(raw, &out) != nil || len(out) > longest || !utf8.ValidString(out) {
		return ""
	}
	return out
}

// texts is a claim that is a list of texts, or one.
func texts(claims map[string]json.RawMessage, name string) (out []string) {
	raw, _ := at(claims, name)
	var all []string
	if json.Unmarshal(raw, &all) != nil {
		if one := text(claims, name); one != "" {
			return []string{one}
		}
		return nil
	}
	for _, s := range all {
		if s != "" && len(s) <= longest && len(out) < mostGroups {
			out = append(out, s)
		}
	}
	return out
}

// truth reports whether a claim is true, or says so, as some issuers have it.
func truth(claims map[string]json.RawMessage, name string) bool {
	var is bool
	return json.Unmarshal(claims[name], &is) == nil && is || text(claims, name) == "true"
}
