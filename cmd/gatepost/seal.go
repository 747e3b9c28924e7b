package main

import (
	"context"
	"errors"
	"fmt"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/dkim"
)

// documentError is a fault of what a document names, with the place where it names it.
type documentError struct {
	problem config.Problem
	err     error
}

func (e *documentError) Error() string { return e.problem.String() }
func (e *documentError) Unwrap() error { return e.err }

// faultAt makes the error of a key of policy.toml. A key that the document does not state has no line.
func faultAt(c *config.Config, key string, err error, instead string) error {
	p := config.Problem{File: c.PolicyPath, Key: key, Message: err.Error(), Instead: instead}
	p.Line, p.Column = lineOf(c.Where[key])
	return &documentError{p, err}
}

// makeSealer makes the sealer that the policy asks for, over checks that are built; nil where it asks for none.
func makeSealer(c *config.Config, d *filters.Deps, counts *filters.SealCounts) (gateway.Sealer, error) {
	a := &c.Policy.ARC
	if a.Seal == config.SealOff {
		return nil, nil
	}
	name, key := sealingKey(c), "arc.key"
	if a.Key == "" {
		key = "arc.selector"
	}
	private, err := readSigningKey(name)
	if err != nil {
		return nil, faultAt(c, key, fmt.Errorf("the private key cannot be used: %w", err),
			"write the path of a key in PEM that the user of the daemon can read, or make one with gatepost dkim key make --domain "+a.Domain+" --selector "+a.Selector)
	}
	s, err := filters.NewSealer(d, filters.SealOptions{Domain: a.Domain, Selector: a.Selector, Key: private, Always: a.Seal == config.SealAlways, Counts: counts})
	if err != nil {
		return nil, faultAt(c, "arc.seal", err, "")
	}
	return s, nil
}

// askSealingKey asks DNS for the key that seals: without it every seal is a broken one.
func askSealingKey(ctx context.Context, c *config.Config, p *parts) []answer {
	a := &c.Policy.ARC
	if a.Seal == config.SealOff {
		return nil
	}
	k := signingKey{Name: dkim.KeyName(a.Selector, a.Domain)}
	out := answer{What: "arc key", Server: k.Name}
	var err error
	if k.key, err = readSigningKey(sealingKey(c)); err != nil {
		out.Err = err
		return []answer{out}
	}
	found := p.resolver.TXT(ctx, k.Name)
	if k.published(&found); k.State != "published" {
		out.Err = errors.New(k.Detail)
	}
	out.Said = k.Detail
	return []answer{out}
}

// sealingKey is the file of the key that seals.
func sealingKey(c *config.Config) string {
	if a := &c.Policy.ARC; a.Key != "" {
		return a.Key
	}
	return c.Bootstrap.SigningKey(c.Policy.ARC.Domain, c.Policy.ARC.Selector)
}
