package filters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/rspamd"
)

// RspamdScanner hands a call to an rspamd that works, and once more to another where nothing was sent.
type RspamdScanner interface {
	Do(ctx context.Context, call func(ctx context.Context, c *rspamd.Client) error) error
}

// DefaultRspamdHead is how much of a message rspamd sees by default, in octets.
const DefaultRspamdHead = 512 << 10

// Where SpamAssassin and rspamd say that a message is spam, each on its own scale: SpamAssassin's required_score, and the
// score from which rspamd adds a header (the one it tells, else its default).
const (
	spamLine         = 5
	rspamdHeaderLine = 6
)

// rivalOfRspamd is the check that looks at the same things.
const rivalOfRspamd = "spamassassin"

// rspamdCheck has the head of the message scored by rspamd.
func rspamdCheck() Definition {
	return Definition{
		Name: "rspamd", Stage: gateway.Data, Costly: true,
		Doc:      "How many points does rspamd give the message? On SpamAssassin's scale, and without those of symbols that a check of our own prices; it fails where rspamd itself would add a header or reject. Where spamassassin prices as well, the higher of both counts. Of a long message it sees the beginning. Off without rspamd.addresses in gatepost.toml.",
		Action:   gateway.ActionScore,
		Unknown:  gateway.ActionTag,
		Measures: []Measure{{"rspamd", "rspamd's points on SpamAssassin's scale, without those of ignored symbols", 1}, {"symbol", "one symbol that hit, for ignore; its points are in rspamd", 0}, {"action", "what rspamd itself would do", 0}},
		Options:  &RspamdOptions{},
		Needs:    func(d *Deps) bool { return d.Rspamd != nil },
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*RspamdOptions)
			if d.Rspamd == nil {
				return Built{}, errors.New("needs rspamd.addresses in gatepost.toml; or write action = \"off\"")
			}
			ignore := o.Ignore
			if ignore == nil {
				ignore = rspamdPricedHere(d.prices)
			}
			b := Built{Run: func(ctx context.Context, in *gateway.Input) gateway.Finding { return d.runRspamd(ctx, in, o.Scale) },
				Ignore: ignore, Total: "rspamd"}
			if !o.Sum {
				b.Rival = rivalOfRspamd
			}
			return b, nil
		},
	}
}

// RspamdOptions are the options of checks.rspamd.
type RspamdOptions struct {
	Ignore []string `toml:"ignore" doc:"Symbols (with * and ?) whose points do not count, since a check of our own prices the same thing. Not set: those of DNS lists, SPF, DKIM, DMARC, ARC, reverse names, HELO names and viruses, each where our own check is on." example:"R_SPF_*"`
	Scale  float64  `toml:"scale" min:"0" max:"10" doc:"What one point of rspamd is worth on SpamAssassin's scale. 0: 5 divided by the score from which it adds a header, 6 unless it tells another: what both call spam is then worth the same."`
	Sum    bool     `toml:"sum" doc:"Whether its points are added to those of spamassassin, where that prices too. Both look at the same things, so that the higher of both counts otherwise."`
}

// rspamdPricedHere lists the symbols of what a check of ours looks at and prices.
func rspamdPricedHere(on func(check string) bool) []string {
	var out []string
	for _, priced := range [...]struct {
		check   string
		symbols []string
	}{
		{"rbl.client", []string{"RBL_*", "RCVD_IN_*", "RECEIVED_*", "RWL_*"}},
		{"rbl.url", []string{"URIBL_*", "DBL_*", "*SURBL*"}},
		{"spf", []string{"R_SPF_*"}}, {"dkim", []string{"R_DKIM_*"}}, {"dmarc", []string{"DMARC_*"}}, {"arc", []string{"ARC_*"}},
		{"rdns", []string{"RDNS_*", "HFILTER_HOSTNAME_*"}}, {"helo", []string{"HFILTER_HELO_*"}}, {"shape", []string{"MISSING_DATE"}},
		{"clamav", []string{"CLAM_VIRUS*"}},
	} {
		if on(priced.check) {
			out = append(out, priced.symbols...)
		}
	}
	return out
}

// runRspamd shows rspamd the message as it came, and tells it what the connection said.
func (d *Deps) runRspamd(ctx context.Context, in *gateway.Input, scale float64) gateway.Finding {
	e := in.Envelope
	most := d.RspamdHead
	if most <= 0 {
		most = DefaultRspamdHead
	}
	n := min(e.Body.Size(), most)
	req := rspamdRequest(e)
	var r rspamd.Result
	err := d.Rspamd.Do(ctx, func(ctx context.Context, c *rspamd.Client) error {
		var err error
		req.Message, req.Size = io.NewSectionReader(e.Body, 0, n), n
		r, err = c.Check(ctx, req)
		return err
	})
	if err != nil {
		return unanswered(err)
	}
	return rspamdFinding(&r, scale, n < e.Body.Size())
}

// rspamdRequest tells what the envelope and its session say.
func rspamdRequest(e *gateway.Envelope) rspamd.Request {
	s := e.Session
	r := rspamd.Request{IP: s.Client.Addr().Unmap().String(), Helo: s.Helo.Name, From: e.From.Path(), ID: e.ID.String(),
		Host: s.Snapshot.Hostname, Cipher: s.TLS.Cipher, Version: s.TLS.Version, Name: gateway.Evident(e.Findings, gateway.EvidenceReverse)}
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() {
			r.Rcpts = append(r.Rcpts, e.Rcpts[i].Address.Text)
		}
	}
	return r
}

// rspamdFinding tells what a report of rspamd measures. Points of single symbols may be taken off the total only where the
// report accounts for all of it.
func rspamdFinding(r *rspamd.Result, scale float64, cut bool) gateway.Finding {
	if r.Skipped && r.Action == rspamd.NoAction {
		return gateway.CouldNotTell(gateway.ScannerFailed).Show("error", "rspamd skipped the message by its own settings, and looked at nothing")
	}
	f, score := gateway.Passed(), r.Score
	if r.Spam() {
		f = gateway.Failed(gateway.SpamRules)
	}
	if scale <= 0 {
		line := r.Header
		if line <= 0 {
			line = rspamdHeaderLine
		}
		scale = spamLine / line
	}
	var names, points []string
	var symbols []gateway.Measure
	for _, s := range r.Symbols {
		names = append(names, s.Name)
		points = append(points, fmt.Sprintf("%s=%.2f", s.Name, s.Score))
		if !r.Complete || s.Score == 0 {
			continue
		}
		if cut && (strings.HasPrefix(s.Name, "R_DKIM_") || strings.HasPrefix(s.Name, "DMARC_") || strings.HasPrefix(s.Name, "ARC_")) {
			score -= s.Score // a signature cannot hold over a message that was cut
			continue
		}
		symbols = append(symbols, gateway.Measure{Name: "symbol", Value: s.Score * scale, Text: s.Name})
	}
	f = f.With(gateway.Measure{Name: "rspamd", Value: score * scale}, gateway.Measure{Name: "action", Value: 1, Text: r.Action}).With(symbols...)
	f = f.Show(gateway.EvidenceScanner, fmt.Sprintf("%s, score %.1f", strings.TrimSpace("rspamd "+r.Version), r.Score)).
		Show("points", fmt.Sprintf("%.2f, which are %.2f on SpamAssassin's scale (times %.3g); it would reject from %.1f", r.Score, score*scale, scale, r.Required)).
		Show("action", r.Action).
		Show(gateway.EvidenceRules, strings.Join(names, ",")).
		Show("rules with points", strings.Join(points, " "))
	if r.Text != "" {
		f = f.Show("text", r.Text)
	}
	if cut {
		f = f.Show("cut", "it saw the beginning of the message only; its DKIM, DMARC and ARC symbols do not count")
	}
	if !r.Complete {
		f = f.Show("report", "does not account for all points: no symbol can be left out of the sum")
	}
	return f
}
