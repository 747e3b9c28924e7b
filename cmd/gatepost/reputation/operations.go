package reputation

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/reputation"
	"gatepost/internal/shaping"
)

// Desk answers what is asked of histories.
type Desk struct {
	// Memory is where they are remembered.
	Memory func() *shaping.Reputation
	// Log is told of what an operator has forgotten.
	Log *slog.Logger
}

// Line is one history as the command line shows it. Counts fade, and so are no whole numbers.
type Line struct {
	Subject  string              `json:"subject"` // "client:192.0.2.1"
	Standing reputation.Standing `json:"standing"`
	Accepted float64             `json:"accepted"`
	Spam     float64             `json:"spam"`
	Virus    float64             `json:"virus"`
	NoSuch   float64             `json:"no_such_recipient"`
	Waited   float64             `json:"waited"`
	Days     float64             `json:"days"` // on which mail was accepted
	Good     float64             `json:"lately_good"`
	Bad      float64             `json:"lately_bad"`
	Since    time.Time           `json:"since,omitzero"`
	Seen     time.Time           `json:"seen,omitzero"`
	Told     string              `json:"told"` // the same in words
}

// lineOf is what a history says now.
func lineOf(s reputation.Subject, h reputation.History, now time.Time) Line {
	told := h.Tell(now)
	h = h.At(now)
	whole := func(n uint32) float64 { return math.Round(float64(n)*10/reputation.One) / 10 }
	l := Line{Subject: gateway.CleanText(s.String(), 300), Standing: h.Standing, Told: told, Accepted: whole(h.Counts[reputation.Accepted]),
		Spam: whole(h.Counts[reputation.Spam]), Virus: whole(h.Counts[reputation.Virus]), NoSuch: whole(h.Counts[reputation.NoSuch]),
		Waited: whole(h.Counts[reputation.Waited]), Days: whole(h.Days), Good: whole(h.Good), Bad: whole(h.Bad)}
	if h.Seen != 0 {
		l.Since, l.Seen = time.Unix(h.First, 0).UTC(), time.Unix(h.Seen, 0).UTC()
	}
	return l
}

func showQuestion() control.Operation {
	return control.Look("reputation show", "/reputation", "Show what came of earlier mail of a client, network, organization or domain", access.SendersRead)
}

func topQuestion() control.Operation {
	return control.Look("reputation top", "/reputation/top", "List who brought the most spam, malware and guesses lately", access.SendersRead)
}

func resetQuestion() control.Operation {
	return control.Do("reputation reset", "/reputation/reset", "Forget what came of somebody's mail", access.SendersChange)
}

// Operations are those of histories.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(showQuestion(), d.show), control.Define(topQuestion(), d.top), control.Define(resetQuestion(), d.reset)}
}

// subjects reads whom a person asks for.
func subjects(text string) ([]reputation.Subject, error) {
	of, err := reputation.Parse(text)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(),
			Hint: "write an address, a network (/24, /48), a domain, or client:, network:, organisation: or domain: before it"}
	}
	return of, nil
}

// show answers gatepost reputation show.
func (d *Desk) show(ctx context.Context, in *api.ReputationOf) ([]Line, error) {
	of, err := subjects(in.Of)
	if err != nil {
		return nil, err
	}
	histories, err := d.Memory().Look(ctx, of)
	if err != nil {
		return nil, err
	}
	out, now := []Line{}, time.Now()
	for i, s := range of {
		out = append(out, lineOf(s, histories[i], now))
	}
	return out, nil
}

// reset answers gatepost reputation reset.
func (d *Desk) reset(ctx context.Context, in *api.ReputationOf) ([]string, error) {
	of, err := subjects(in.Of)
	if err != nil {
		return nil, err
	}
	forgotten := []string{}
	for _, s := range of {
		known, err := d.Memory().Forget(ctx, s)
		if err != nil {
			return nil, err
		}
		if known {
			forgotten = append(forgotten, gateway.CleanText(s.String(), 300))
		}
	}
	control.Changed(ctx, control.Change{Object: in.Of, Before: forgotten})
	d.Log.Info("reputation: forgotten by an operator", "key", in.Of, "known", strings.Join(forgotten, " "))
	return forgotten, nil
}

// top answers gatepost reputation top: who brought the most bad lately, first those that are bad.
func (d *Desk) top(_ context.Context, in *api.Top) ([]Line, error) {
	n := in.N
	type one struct {
		subject reputation.Subject
		kept    reputation.History
		at      reputation.History
	}
	now, worst := time.Now(), []one{}
	order := func(a, b one) int {
		return cmp.Or(cmp.Compare(isBad(b.at), isBad(a.at)), cmp.Compare(b.at.Bad, a.at.Bad),
			cmp.Compare(b.at.Counts[reputation.Spam], a.at.Counts[reputation.Spam]), cmp.Compare(b.at.Counts[reputation.Accepted], a.at.Counts[reputation.Accepted]),
			strings.Compare(a.subject.String(), b.subject.String()))
	}
	d.Memory().Each(func(s reputation.Subject, h reputation.History) {
		if at := h.At(now); at.Seen != 0 {
			worst = append(worst, one{s, h, at})
		}
		if len(worst) >= 4*api.TopMost { // the rest of a hundred thousand is not held
			slices.SortFunc(worst, order)
			worst = worst[:n]
		}
	})
	slices.SortFunc(worst, order)
	out := []Line{}
	for _, w := range worst[:min(n, len(worst))] {
		out = append(out, lineOf(w.subject, w.kept, now))
	}
	return out, nil
}

// isBad is 1 for a history that is bad now, and else 0.
func isBad(h reputation.History) int {
	if h.Standing == reputation.Bad {
		return 1
	}
	return 0
}
