package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/config"
	"gatepost/internal/routing"
)

// maxAliasFile is the largest file of aliases that is read, in octets: a million lines of two long addresses each.
const maxAliasFile = 256 << 20

// makeRouting works out where the mail of each address goes. What is wrong with it are problems with their places, all at
// once, as an error.
func makeRouting(c *config.Config, p *gateway.Policy) error {
	in, problems := addressRules(c, p)
	if c.Policy.AliasFile != "" {
		more, err := readAliases(c, in)
		if err != nil {
			return err
		}
		p.Version = c.PolicyVersion
		problems = append(problems, more...)
	}
	if len(problems) == 0 {
		p.Routing, problems = routing.Build(p, in)
	}
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b routing.Problem) int {
		return cmp.Or(strings.Compare(a.At.File, b.At.File), int(a.At.Line-b.At.Line))
	})
	var out config.Problems
	for _, f := range problems {
		at := config.Problem{File: f.At.File, Line: int(f.At.Line), Key: f.At.Kind.String(), Message: f.Message, Instead: f.Instead}
		if f.At.File == config.PolicyFile {
			at.File = c.PolicyPath
		}
		if at.Line > 0 {
			at.Column = 1
		}
		out = append(out, at)
	}
	return out
}

// addressRules gathers what policy.toml says of addresses.
func addressRules(c *config.Config, p *gateway.Policy) (*routing.Input, []routing.Problem) {
	r := &ruleReader{c: c}
	in := &routing.Input{RouteAt: func(d *gateway.Domain) string { return c.Where["domain."+d.Name+".route"] }}
	for i, a := range c.Policy.Aliases {
		rule := routing.Rule{At: r.place(gateway.AliasPlace, numbered("alias", i, "address"))}
		rule.Address = r.address(rule.At, a.Address)
		for _, to := range a.To {
			rule.To = append(rule.To, r.address(rule.At, to))
		}
		in.Aliases = append(in.Aliases, rule)
	}
	for i, m := range c.Policy.DomainMaps {
		in.Maps = append(in.Maps, routing.Map{From: m.From, To: m.To, Header: m.Rewrite == config.RewriteHeaders,
			At: r.place(gateway.DomainMapPlace, numbered("domain_map", i, "from"))})
	}
	for i, x := range c.Policy.Recipients {
		at := r.place(gateway.RecipientPlace, numbered("recipient", i, "addresses"))
		for _, a := range x.Addresses {
			in.Exceptions = append(in.Exceptions, routing.Exception{Address: r.address(at, a), Route: x.Route, At: at})
		}
	}
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		domain := p.Domains[strings.TrimPrefix(d.Name, "*")]
		postmaster, key := d.Postmaster, "domain."+d.Name+".postmaster"
		if postmaster == "" {
			postmaster, key = c.Policy.Postmaster, "postmaster"
		}
		if postmaster != "" {
			at := r.place(gateway.PostmasterPlace, key)
			in.Postmasters = append(in.Postmasters, routing.For{Domain: domain, To: r.address(at, postmaster), At: at})
		}
		if d.CatchAll != "" {
			at := r.place(gateway.CatchAllPlace, "domain."+d.Name+".catch_all")
			in.CatchAlls = append(in.CatchAlls, routing.For{Domain: domain, To: r.address(at, d.CatchAll), At: at})
		}
	}
	return in, r.problems
}

// numbered is the path of a key in an element of a list that has no name.
func numbered(list string, i int, key string) string {
	return list + "." + strconv.Itoa(i+1) + "." + key
}

type ruleReader struct {
	c        *config.Config
	problems []routing.Problem
}

// place is where a key stands.
func (r *ruleReader) place(kind gateway.PlaceKind, key string) gateway.Place {
	where := r.c.Where[key]
	line, _ := strconv.ParseInt(where[strings.LastIndexByte(where, ':')+1:], 10, 32)
	return gateway.Place{File: config.PolicyFile, Line: int32(line), Kind: kind}
}

// address reads an address that the decoder took; a local part with its @ has no domain.
func (r *ruleReader) address(at gateway.Place, text string) gateway.Address {
	if local, alone := strings.CutSuffix(text, "@"); alone {
		a, err := routing.Address(local + "@example.org")
		if err == nil {
			return gateway.Address{Text: text, Local: a.Local}
		}
	}
	a, err := routing.Address(text)
	if err != nil {
		r.problems = append(r.problems, routing.Problem{At: at, Message: strconv.Quote(text) + " is no address"})
	}
	return a
}

// readAliases adds what the file of aliases says, and makes it part of the policy's version.
func readAliases(c *config.Config, in *routing.Input) ([]routing.Problem, error) {
	const advice = "name a file that the user of the daemon can read"
	f, err := openRegular(c.Policy.AliasFile)
	if err != nil {
		return nil, faultAt(c, "alias_file", err, advice)
	}
	defer f.Close()
	sum := sha256.New()
	aliases, maps, problems, err := routing.ReadFile(c.Policy.AliasFile, io.TeeReader(io.LimitReader(f, maxAliasFile), sum))
	if err != nil {
		return nil, faultAt(c, "alias_file", err, advice)
	}
	// The file is part of the policy: what is told of mail by its version must not be another tomorrow.
	version, _, _ := strings.Cut(c.PolicyVersion, "+")
	c.PolicyVersion = version + "+" + hex.EncodeToString(sum.Sum(nil)[:3])
	in.Aliases, in.Maps = append(in.Aliases, aliases...), append(in.Maps, maps...)
	return problems, nil
}

// openRegular opens a file that is one: a pipe would hold us up.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w", name, errors.New("no regular file"))
	case info.Size() > maxAliasFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxAliasFile>>20)
	}
	return os.Open(name)
}
