package filters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/spamd"
	"gatepost/rbl"
)

// DefaultSpamHead is how much of a message spamd sees by default, in octets.
const DefaultSpamHead = 512 << 10

// SpamScanner hands a call to a spamd that works, and once more to another where nothing was sent.
type SpamScanner interface {
	Do(ctx context.Context, call func(ctx context.Context, c *spamd.Client) error) error
}

// spamAssassin has the head of the message scored.
func spamAssassin() Definition {
	return Definition{
		Name: "spamassassin", Stage: gateway.Data, Costly: true,
		Doc:      "How many points does SpamAssassin give the message? They are added to ours, without those of rules that a check of our own prices; it fails by SpamAssassin's own threshold, with all of them. Of a long message it sees the beginning.",
		Action:   gateway.ActionScore,
		Unknown:  gateway.ActionTag,
		Measures: []Measure{{"spamd", "SpamAssassin's points, without those of ignored rules", 1}, {"rule", "one rule that hit, for ignore; its points are in spamd", 0}},
		Options:  &SpamAssassinOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*SpamAssassinOptions)
			if d.SpamAssassin == nil {
				return Built{}, errors.New("needs spamassassin.addresses in gatepost.toml; or write action = \"off\"")
			}
			ignore := o.Ignore
			if ignore == nil {
				ignore = pricedHere(d.prices)
			}
			return Built{Run: d.runSpamAssassin, Ignore: ignore, Total: "spamd"}, nil
		},
	}
}

// SpamAssassinOptions are the options of checks.spamassassin.
type SpamAssassinOptions struct {
	Ignore []string `toml:"ignore" doc:"Rules (with * and ?) whose points do not count, since a check of our own prices the same thing. Not set: RCVD_IN_*, URIBL_*, SPF_*, DKIM_*, DMARC_*, RDNS_NONE and MISSING_DATE, each where our own check is on, RCVD_IN_* and URIBL_* where it has lists too." example:"RCVD_IN_*"`
}

// prices reports whether a check is on and has what it works with: lists that nobody named price nothing.
func (d *Deps) prices(check string) bool {
	return d.On != nil && d.On(check) && (check != "rbl.client" || d.asked(rbl.Client)) && (check != "rbl.url" || d.asked(rbl.Link))
}

// pricedHere lists the rules that look at what a check of ours looks at and prices.
func pricedHere(on func(check string) bool) []string {
	var out []string
	for _, pair := range [...][2]string{{"rbl.client", "RCVD_IN_*"}, {"rbl.url", "URIBL_*"}, {"spf", "SPF_*"}, {"dkim", "DKIM_*"},
		{"dmarc", "DMARC_*"}, {"rdns", "RDNS_NONE"}, {"shape", "MISSING_DATE"}} {
		if on(pair[0]) {
			out = append(out, pair[1])
		}
	}
	return out
}

// runSpamAssassin shows spamd the message as the next hop's users would see it arrive: with the reverse-path and our own
// Received, so that its rules look at the right client.
func (d *Deps) runSpamAssassin(ctx context.Context, in *gateway.Input) gateway.Finding {
	e := in.Envelope
	head := "Return-Path: " + e.From.Path() + "\r\n" + gateway.Received(e, time.Now())
	most := d.SpamHead
	if most <= 0 {
		most = DefaultSpamHead
	}
	n := min(e.Body.Size(), max(most-int64(len(head)), 0))
	var r spamd.Result
	err := d.SpamAssassin.Do(ctx, func(ctx context.Context, c *spamd.Client) error {
		var err error
		r, err = c.Check(ctx, spamd.Request{Size: int64(len(head)) + n,
			Message: io.MultiReader(strings.NewReader(head), io.NewSectionReader(e.Body, 0, n))})
		return err
	})
	if err != nil {
		return unanswered(err)
	}
	return spamFinding(&r, n < e.Body.Size())
}

// spamFinding tells what a report of spamd measures. Points of single rules may be taken off the total only where the
// report accounts for all of it.
func spamFinding(r *spamd.Result, cut bool) gateway.Finding {
	f, score := gateway.Passed(), r.Score
	if r.Spam {
		f = gateway.Failed(gateway.SpamRules)
	}
	var names, points []string
	var rules []gateway.Measure
	for _, rule := range r.Rules {
		names = append(names, rule.Name)
		points = append(points, fmt.Sprintf("%s=%.1f", rule.Name, rule.Score))
		if !r.Complete || !rule.Scored || rule.Score == 0 {
			continue
		}
		if cut && (strings.HasPrefix(rule.Name, "DKIM_") || strings.HasPrefix(rule.Name, "DMARC_")) {
			score -= rule.Score // a signature cannot hold over a message that was cut
			continue
		}
		rules = append(rules, gateway.Measure{Name: "rule", Value: rule.Score, Text: rule.Name})
	}
	f = f.With(gateway.Measure{Name: "spamd", Value: score}).With(rules...)
	f = f.Show(gateway.EvidenceScanner, fmt.Sprintf("%s, score %.1f", strings.TrimSpace("SpamAssassin "+r.Version), r.Score)).
		Show("points", fmt.Sprintf("%.1f, its own threshold %.1f", r.Score, r.Threshold)).
		Show(gateway.EvidenceRules, strings.Join(names, ",")).
		Show("rules with points", strings.Join(points, " "))
	if cut {
		f = f.Show("cut", "it saw the beginning of the message only; its DKIM and DMARC rules do not count")
	}
	if !r.Complete {
		f = f.Show("report", "does not account for all points: no rule can be left out of the sum")
	}
	return f
}
