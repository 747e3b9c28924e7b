package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gatepost/cmd/gatepost/gate"
	"gatepost/internal/api"
	"gatepost/internal/clamd"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/spamd"
	"gatepost/internal/store"
)

// gateOperations are those by which a new version of the appliance is found good.
func (d *daemon) gateOperations() []control.Operation {
	return (&gate.Desk{Parts: d.gateParts, Where: d.gateDoors}).Operations()
}

// gateDoors are where others come in.
func (d *daemon) gateDoors(g *api.Gate) {
	g.SMTP, g.Console = reachedListeners(d.bootstrap, d.where.Listeners), reached(d.where.Console)
	g.Refuses = len(d.document.Load().Policy.Domains) == 0
}

// reachedListeners are where listeners listen, as it is reached from this machine. Behind a proxy nobody else is heard.
func reachedListeners(b *config.Bootstrap, where map[string]string) []string {
	out := []string{}
	for _, l := range b.Listeners {
		if len(l.ProxyFrom) == 0 {
			out = append(out, reached(words(where[l.Name]))...)
		}
	}
	return out
}

// reached are addresses as they are reached from this machine.
func reached(all []string) []string {
	out := []string{}
	for _, text := range all {
		if at, err := netip.ParseAddrPort(text); err == nil {
			out = append(out, cli.FromHere(at).String())
		}
	}
	return out
}

// gateParts are what a message needs: scanners whose check is on, and the log.
func (d *daemon) gateParts() []gate.Part {
	policy, p, b := d.now.Load().snapshot.Policy, d.parts, d.bootstrap
	here := func(all []string) bool {
		return !slices.ContainsFunc(all, func(a string) bool { return !insideHost(a) })
	}
	out := []gate.Part{{Name: "log", Needed: b.Store.Log == "", Try: func(ctx context.Context) (string, error) {
		_, err := d.readLog().Search(ctx, store.Query{Limit: 1})
		return "it can be read", err
	}}}
	if p.clamav != nil && policy.Runs("clamav") {
		out = append(out, gate.Part{Name: "clamav", Needed: here(b.ClamAV.Addresses), Try: func(ctx context.Context) (said string, err error) {
			err = p.clamav.Do(ctx, func(ctx context.Context, c *clamd.Client) error {
				r, err := c.Scan(ctx, strings.NewReader(gate.Message), int64(len(gate.Message)))
				if err == nil && r.Kind != clamd.Clean {
					err = errors.New("it takes a test message without anything in it for malware")
				}
				said = "a test message was scanned at " + c.Address()
				return err
			})
			return said, err
		}})
	}
	if p.spam != nil && policy.Runs("spamassassin") {
		out = append(out, gate.Part{Name: "spamassassin", Needed: here(b.SpamAssassin.Addresses), Try: func(ctx context.Context) (said string, err error) {
			err = p.spam.Do(ctx, func(ctx context.Context, c *spamd.Client) error {
				r, err := c.Check(ctx, spamd.Request{Message: strings.NewReader(gate.Message), Size: int64(len(gate.Message))})
				said = fmt.Sprintf("a test message was scanned at %s, with a score of %.1f", c.Address(), r.Score)
				return err
			})
			return said, err
		}})
	}
	return out
}
