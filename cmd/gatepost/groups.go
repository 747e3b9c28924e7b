package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/netip"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/config"
)

// maxGroupLines bounds a group's file.
const maxGroupLines = 100_000

// makeGroups adds groups, rules and what a level set to the policy, before its checks are built.
func makeGroups(c *config.Config, p *gateway.Policy) error {
	if len(c.Policy.FromLevel) > 0 {
		where := maps.Clone(c.Where)
		for path := range c.Policy.FromLevel {
			where[path] = "level " + string(c.Policy.Level) + ", " + whereOf(c, "level")
		}
		p.Where = where
	}
	byName, sum := map[string]*gateway.Group{}, sha256.New()
	read := false
	for i := range c.Policy.Groups {
		g := &c.Policy.Groups[i]
		group := newGroup(g.Name, g.Members)
		if g.File != "" {
			if err := readGroup(c, g, group, sum); err != nil {
				return err
			}
			read = true
		}
		if t := g.Thresholds; t != nil {
			for to, from := range map[*float64]*float64{&group.Thresholds.Tag: t.Tag, &group.Thresholds.Quarantine: t.Quarantine, &group.Thresholds.Reject: t.Reject} {
				if from != nil {
					*to = *from
				}
			}
		}
		byName[g.Name] = group
		p.Groups = append(p.Groups, group)
	}
	if read { // the files are part of the policy, as that of aliases
		parts := strings.Split(c.PolicyVersion, "+")
		keep := 1
		if c.Policy.AliasFile != "" {
			keep = 2
		}
		c.PolicyVersion = strings.Join(append(parts[:keep:keep], hex.EncodeToString(sum.Sum(nil)[:3])), "+")
		p.Version = c.PolicyVersion
	}
	all, err := makeRules(c, byName)
	p.Rules = gateway.NewRules(all)
	return err
}

// newGroup makes a group of members in the forms that the decoder leaves.
func newGroup(name string, members []string) *gateway.Group {
	g := &gateway.Group{Name: name, Addresses: map[string]struct{}{}, Domains: map[string]struct{}{}}
	for _, m := range members {
		addMember(g, m)
	}
	return g
}

func addMember(g *gateway.Group, m string) {
	if at := strings.LastIndexByte(m, '@'); at >= 0 {
		var a gateway.Address
		_ = a.UnmarshalText([]byte(m)) // it was read before
		g.Addresses[strings.ToLower(a.Local)+"@"+a.Domain] = struct{}{}
		return
	}
	g.Domains[strings.TrimPrefix(m, "*")] = struct{}{}
}

// readGroup adds the members that stand in a file.
func readGroup(c *config.Config, g *config.Group, group *gateway.Group, sum io.Writer) error {
	fault := func(err error, instead string) error { return faultAt(c, "group."+g.Name+".file", err, instead) }
	f, err := openRegular(g.File)
	if err != nil {
		return fault(err, "name a file that the user of the daemon can read")
	}
	defer f.Close()
	lines := bufio.NewScanner(io.TeeReader(f, sum))
	for n := 1; lines.Scan(); n++ {
		if n > maxGroupLines {
			return fault(fmt.Errorf("%s has more than %d lines", g.File, maxGroupLines), "name domains, or several groups")
		}
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		member, err := config.ParseMember(text)
		if err != nil {
			return fault(fmt.Errorf("%s:%d: %w", g.File, n, err), "mend the line: an address, a domain, or *. and a domain")
		}
		addMember(group, member)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errors.New("a line is longer than 64 KiB")
		}
		return fault(fmt.Errorf("%s: %w", g.File, err), "write one member a line")
	}
	return nil
}

// makeRules translates the rules.
func makeRules(c *config.Config, groups map[string]*gateway.Group) (out []gateway.Rule, err error) {
	known, when := sections(), conditions{config: c}
	for i := range c.Policy.Rules {
		r := &c.Policy.Rules[i]
		where := c.Where[numbered("rule", i, "name")]
		if where == "" { // a name without blanks is its place
			where = whereOf(c, "rule."+r.Name+".name")
		}
		rule := gateway.Rule{Line: gateway.RuleLine(i+1, r.Name, where), Checks: r.Matching(known), Texts: r.Text,
			Points: r.PointsFrom, Subject: r.Subject, Banner: r.Banner, Keep: r.Keep, Observe: r.Observe}
		if rule.When, err = when.of(r); err != nil {
			return nil, err
		}
		if r.Action == "accept" {
			rule.Action = gateway.ActionPass
		} else {
			rule.Action = action(config.Action(r.Action))
		}
		if !r.Expires.IsZero() {
			rule.Until = r.Expires.End()
		}
		for _, reason := range r.Reasons {
			rule.Reasons = append(rule.Reasons, gateway.Reason(reason))
		}
		var single []string
		for _, to := range r.To {
			if g := groups[to]; g != nil {
				rule.To = append(rule.To, g)
			} else {
				single = append(single, to)
			}
		}
		if len(single) > 0 {
			rule.To = append(rule.To, newGroup("", single))
		}
		for _, from := range r.From {
			rule.From = append(rule.From, sender(from))
		}
		for _, t := range r.Trust {
			rule.Trust |= map[config.Trust]gateway.Trust{"trusted": gateway.Trusted, "known": gateway.KnownGood, "authenticated": gateway.Authenticated,
				"unknown": gateway.Unfamiliar, "first": gateway.First}[t]
		}
		out = append(out, rule)
	}
	return out, nil
}

// sender translates one element of from.
func sender(text string) gateway.Sender {
	if n, err := netip.ParsePrefix(text); err == nil {
		return gateway.Sender{Network: n}
	}
	if strings.Contains(text, "@") {
		var a gateway.Address
		_ = a.UnmarshalText([]byte(text)) // it was read before
		return gateway.Sender{Local: a.Local, Domain: a.Domain}
	}
	return gateway.Sender{Domain: strings.TrimPrefix(text, "*")}
}

// makeBanners translates the banners. HTML parts of one that has none show its text, in a box that clients do not restyle.
func makeBanners(c *config.Config) map[string]gateway.Banner {
	out := map[string]gateway.Banner{}
	for _, b := range c.Policy.Banners {
		page := string(b.HTML)
		if page == "" {
			page = `<div style="border:1px solid #888;background:#fff6d6;color:#000;padding:8px;margin:0 0 12px 0;font-family:sans-serif">` +
				strings.ReplaceAll(html.EscapeString(strings.TrimRight(string(b.Text), "\n")), "\n", "<br>") + "</div>"
		}
		out[b.Name] = gateway.Banner{Text: string(b.Text), HTML: page}
	}
	return out
}

// makeLevels adds the levels of domains and groups, once the policy's checks are built.
func makeLevels(c *config.Config, p *gateway.Policy) {
	made := map[string]*gateway.Level{}
	level := func(l config.Level, key string) *gateway.Level {
		if l == "" {
			return nil
		}
		where := whereOf(c, key)
		if made[where] == nil {
			made[where] = makeLevel(c, p, l, where)
			p.Levels = append(p.Levels, made[where])
		}
		return made[where]
	}
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		domain := p.Domains[strings.TrimPrefix(d.Name, "*")]
		if domain.Level = level(d.Level, "domain."+d.Name+".level"); domain.Level != nil && domain.Thresholds == nil {
			t := thresholds(c.Policy.ThresholdsOf(d))
			domain.Thresholds = &t
		}
	}
	for i := range c.Policy.Groups {
		g := &c.Policy.Groups[i]
		p.Groups[i].Level = level(g.Level, "group."+g.Name+".level")
	}
}

// makeLevel is what a level says of those checks of which the document does not.
func makeLevel(c *config.Config, p *gateway.Policy, l config.Level, where string) *gateway.Level {
	known := sections()
	out := &gateway.Level{Name: string(l), Where: where, Thresholds: thresholds(config.LevelThresholds(l)),
		Checks: map[string]gateway.CheckPolicy{}, Sets: map[string]bool{}}
	for _, k := range config.LevelKeys(known) {
		check, there := p.Checks[k.Check]
		if other, begun := out.Checks[k.Check]; begun {
			check = other
		}
		if !there || check.Action == gateway.ActionOff || c.Where[k.Path()] != "" {
			continue
		}
		value := k.Value(l, known)
		switch kind, name, _ := strings.Cut(k.Key, "."); kind {
		case "action":
			check.Action = action(config.Action(value))
		case "reasons":
			check.Cases = append([]gateway.Case(nil), check.Cases...)
			for i := range check.Cases {
				if check.Cases[i].Reason == gateway.Reason(name) {
					check.Cases[i].Action = action(config.Action(value))
				}
			}
		default:
			check.Prices = maps.Clone(check.Prices)
			check.Prices[name], _ = strconv.ParseFloat(value, 64)
		}
		out.Checks[k.Check] = check
		out.Sets[k.Path()] = true
	}
	return out
}

// whereOf is where a key stands; "default" where the document does not state it.
func whereOf(c *config.Config, key string) string {
	if where := c.Where[key]; where != "" {
		return where
	}
	return "default"
}
