package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/addrpool"
	"gatepost/internal/api"
	"gatepost/internal/clamd"
	"gatepost/internal/dns"
)

// loops are what must run beside the parts while the daemon works: the probes of Redis and the scanners.
func (p *parts) loops() []loop {
	out := []loop{{"redis", p.shaper.Run}, {"unpack", p.tryUnpack}}
	if p.clamav != nil {
		out = append(out, loop{"clamav", p.clamav.Run})
	}
	if p.spam != nil {
		out = append(out, loop{"spamassassin", p.spam.Run})
	}
	for _, e := range p.engines.all {
		out = append(out, loop{e.name, e.run})
	}
	return out
}

// probeClamAV asks whether clamd works, and remembers how old its signatures are.
func (p *parts) probeClamAV(ctx context.Context, c *clamd.Client) (string, error) {
	said, err := c.Probe(ctx)
	if err != nil {
		return "", err
	}
	if v, err := c.Version(ctx); err == nil {
		p.signatures.Store(&v)
	}
	return said, nil
}

// statisticsTime bounds the question for statistics: status is for people who wait.
const statisticsTime = 3 * time.Second

// clamStatistics asks a clamd how busy it is. It is for people to read, and no answer is no fault.
func (p *parts) clamStatistics(ctx context.Context) (api.Server, bool) {
	if p.clamav == nil {
		return api.Server{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, statisticsTime)
	defer cancel()
	var line api.Server
	err := p.clamav.Do(ctx, func(ctx context.Context, c *clamd.Client) error {
		stats, err := c.Stats(ctx)
		said := gateway.CleanText(strings.Join(strings.Fields(stats.Threads+" "+stats.Queue), " "), 200)
		line = api.Server{What: "clamav work", Server: c.Address(), OK: true, Said: said}
		return err
	})
	return line, err == nil
}

// freshSignatures is how old the database of clamd may be: freshclam brings a new one every day.
const freshSignatures = 3 * 24 * time.Hour

// signatureHealth tells whether the signatures are worth scanning with. Local ones, on purpose, always are.
func (p *parts) signatureHealth(localOnly bool, now time.Time) (bool, string) {
	v := p.signatures.Load()
	switch {
	case v == nil:
		return true, "not known yet"
	case localOnly:
		return true, "local ones only, by clamav.local_only"
	case v.Database == 0:
		return false, "clamd has no official database: run freshclam, or write clamav.local_only = true in gatepost.toml if that is meant"
	case now.Sub(v.Date) > freshSignatures:
		return false, fmt.Sprintf("database %d is of %s: look at freshclam", v.Database, v.Date.Format(time.DateOnly))
	}
	return true, fmt.Sprintf("database %d of %s", v.Database, v.Date.Format(time.DateOnly))
}

// dnsHealth tells whether any of the resolvers answers.
func (p *parts) dnsHealth() (bool, string) {
	detail := ""
	for _, s := range p.resolver.Stats().Servers {
		if !s.Sick {
			return true, ""
		}
		detail = s.Addr + ": " + orUnknown(s.LastError)
	}
	return false, detail
}

// scannerNames are the keys of scanners, in the order of the documents.
func (p *parts) scannerNames() []string {
	names := []string{"clamav", "spamassassin"}
	for _, e := range p.engines.all {
		names = append(names, e.name)
	}
	return names
}

// scanners returns the health of each scanner by the name of its check, and its own where there may be several.
func (p *parts) scanners() map[string][]addrpool.Health {
	out := map[string][]addrpool.Health{}
	if p.clamav != nil {
		out["clamav"] = p.clamav.Health()
	}
	if p.spam != nil {
		out["spamassassin"] = p.spam.Health()
	}
	for _, e := range p.engines.all {
		out[e.name] = e.health()
	}
	return out
}

// gather tells of each server that the configuration names how it is.
func gather(b *built, p *parts) []answer {
	var out []answer
	for _, s := range p.resolver.Stats().Servers {
		a := answer{What: "dns", Server: s.Addr, Said: fmt.Sprintf("%d queries, %d failed", s.Tries, s.Failed)}
		if s.Tries == 0 {
			a.Said = "not asked"
		}
		if s.Sick || s.Tries > 0 && s.Failed == s.Tries {
			a.Err = errors.New(orUnknown(s.LastError))
		}
		out = append(out, a)
	}
	for _, name := range p.scannerNames() {
		for _, h := range p.scanners()[name] {
			a := answer{What: name, Server: h.Address, Said: h.Info}
			switch {
			case !h.Usable() || h.LastOKAt.IsZero():
				a.Err = h.LastError
				if a.Err == nil {
					a.Err = errors.New("did not answer yet")
				}
			case h.LastError != nil && h.LastErrorAt.After(h.LastOKAt):
				a.Err = h.LastError
			}
			out = append(out, a)
		}
	}
	if p.redis != nil {
		out = append(out, p.redisAnswer())
	}
	for _, h := range b.relay.Health() {
		out = append(out, hopAnswer("next hop", &h))
	}
	return append(out, noticeAnswers(b)...)
}

// hopAnswer tells of one next hop, and of whose route it is, well or not: several routes may lead to the same host.
func hopAnswer(what string, h *relay.Health) answer {
	a := answer{What: what, Server: h.NextHop, Said: fmt.Sprintf("route %s, %s; %s", h.Route, carried(h), pooled(h))}
	if h.LearnedAt.IsZero() || !h.Usable() || h.LastErrorAt.After(h.LastOKAt) {
		a.Err = fmt.Errorf("route %s, %s", h.Route, orUnknown(h.LastError))
	}
	return a
}

func orUnknown(text string) string {
	if text == "" {
		return "did not answer yet"
	}
	return text
}

// settled reports whether each server has answered or failed.
func settled(b *built, p *parts) bool {
	servers := p.resolver.Stats().Servers
	if len(servers) > 0 && !slices.ContainsFunc(servers, func(s dns.ServerStats) bool { return s.Tries > 0 }) {
		return false
	}
	for _, list := range p.scanners() {
		for _, h := range list {
			if h.Probes == 0 {
				return false
			}
		}
	}
	if _, asked := p.shaper.Health(); p.redis != nil && !asked {
		return false
	}
	return !slices.ContainsFunc(b.relay.Health(), unasked)
}
