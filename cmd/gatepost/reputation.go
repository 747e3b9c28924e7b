package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/reputation"
)

// trusts reports whether a way of mail was seen to leave that of others whole.
func (p *parts) trusts(way gateway.Path) bool {
	return p.known.Path(way).Standing(time.Now()) == gateway.PathTrusted
}

// pastLine is one history as the command line shows it. Counts fade, and so are no whole numbers.
type pastLine struct {
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

// pastOf is what a history says now.
func pastOf(s reputation.Subject, h reputation.History, now time.Time) pastLine {
	told := h.Tell(now)
	h = h.At(now)
	whole := func(n uint32) float64 { return math.Round(float64(n)*10/reputation.One) / 10 }
	l := pastLine{Subject: gateway.CleanText(s.String(), 300), Standing: h.Standing, Told: told, Accepted: whole(h.Counts[reputation.Accepted]),
		Spam: whole(h.Counts[reputation.Spam]), Virus: whole(h.Counts[reputation.Virus]), NoSuch: whole(h.Counts[reputation.NoSuch]),
		Waited: whole(h.Counts[reputation.Waited]), Days: whole(h.Days), Good: whole(h.Good), Bad: whole(h.Bad)}
	if h.Seen != 0 {
		l.Since, l.Seen = time.Unix(h.First, 0).UTC(), time.Unix(h.Seen, 0).UTC()
	}
	return l
}

// pastKey reads whom a person asks for.
func pastKey(text string) ([]reputation.Subject, error) {
	of, err := reputation.Parse(text)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(),
			Hint: "write an address, a network (/24, /48), a domain, or client:, network:, organisation: or domain: before it"}
	}
	return of, nil
}

// pastVerb answers gatepost reputation show.
func (d *daemon) pastVerb(ctx context.Context, in *api.ReputationOf) ([]pastLine, error) {
	of, err := pastKey(in.Of)
	if err != nil {
		return nil, err
	}
	histories, err := d.parts.reputation.Look(ctx, of)
	if err != nil {
		return nil, err
	}
	out, now := []pastLine{}, time.Now()
	for i, s := range of {
		out = append(out, pastOf(s, histories[i], now))
	}
	return out, nil
}

// resetVerb answers gatepost reputation reset.
func (d *daemon) resetVerb(ctx context.Context, in *api.ReputationOf) ([]string, error) {
	of, err := pastKey(in.Of)
	if err != nil {
		return nil, err
	}
	forgotten := []string{}
	for _, s := range of {
		known, err := d.parts.reputation.Forget(ctx, s)
		if err != nil {
			return nil, err
		}
		if known {
			forgotten = append(forgotten, gateway.CleanText(s.String(), 300))
		}
	}
	control.Changed(ctx, control.Change{Object: in.Of, Before: forgotten})
	d.log.Info("reputation: forgotten by an operator", "key", in.Of, "known", strings.Join(forgotten, " "))
	return forgotten, nil
}

// topVerb answers gatepost reputation top: who brought the most bad lately, first those that are bad.
func (d *daemon) topVerb(_ context.Context, in *api.Top) ([]pastLine, error) {
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
	d.parts.reputation.Each(func(s reputation.Subject, h reputation.History) {
		if at := h.At(now); at.Seen != 0 {
			worst = append(worst, one{s, h, at})
		}
		if len(worst) >= 4*topMost { // the rest of a hundred thousand is not held
			slices.SortFunc(worst, order)
			worst = worst[:n]
		}
	})
	slices.SortFunc(worst, order)
	out := []pastLine{}
	for _, w := range worst[:min(n, len(worst))] {
		out = append(out, pastOf(w.subject, w.kept, now))
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

// reputationShow shows what is known of an address, a network or a domain.
func reputationShow(ctx context.Context, e cli.Env, args []string) int {
	return pastCommand(ctx, e, "reputation show", args, "of")
}

// reputationTop shows who brought the most bad lately.
func reputationTop(ctx context.Context, e cli.Env, args []string) int {
	return pastCommand(ctx, e, "reputation top", args, "n")
}

// pastCommand asks for histories, and shows them.
func pastCommand(ctx context.Context, e cli.Env, name string, args []string, query string) int {
	f := cli.NewFlags(e, name)
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return cli.Usage
	}
	value := strconv.Itoa(topLines)
	switch {
	case len(rest) > 0:
		value = rest[0]
	case query == "of":
		fmt.Fprintf(e.Err, "gatepost %s: of whom? Write an address, a network (/24, /48) or a domain\n", name)
		return cli.Usage
	}
	var list []pastLine
	var err error
	if query == "of" {
		err = askFields[api.ReputationOf](ctx, e, f, pastQuestion(), url.Values{query: {value}}, &list)
	} else {
		err = askFields[api.Top](ctx, e, f, topQuestion(), url.Values{query: {value}}, &list)
	}
	if err != nil {
		return cli.Complain(e, name, err)
	}
	if f.JSON {
		return cli.JSONLines(e, list)
	}
	for i := range list {
		fmt.Fprintf(e.Out, "%-36s %s\n", list[i].Subject, list[i].Told)
	}
	if len(list) == 0 {
		fmt.Fprintln(e.Err, "no message has taught anything yet")
	}
	return cli.Done
}

// reputationReset forgets what is known of an address, a network or a domain.
func reputationReset(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "reputation reset")
	of, ok := f.One(e, args, "of whom? Write an address, a network (/24, /48) or a domain")
	if !ok {
		return cli.Usage
	}
	var forgotten []string
	if err := askFields[api.ReputationOf](ctx, e, f, resetQuestion(), url.Values{"of": {of}}, &forgotten); err != nil {
		return cli.Complain(e, "reputation reset", err)
	}
	if f.JSON {
		if json.NewEncoder(e.Out).Encode(forgotten) != nil {
			return cli.Found
		}
	} else {
		for _, s := range forgotten {
			fmt.Fprintln(e.Out, s)
		}
	}
	if len(forgotten) == 0 {
		fmt.Fprintln(e.Err, "nothing was known of "+of)
		return cli.Found
	}
	return cli.Done
}

// reputationInstruments shows how much is known of whom, and what becomes of lessons.
func (d *daemon) reputationInstruments(m *journal.Metrics) {
	m.Gauges("reputation_known", "Histories that this process keeps: of addresses (clients and networks) and names (organizations and domains).", []string{"of"}, func() []journal.Series {
		addresses, names := d.parts.histories.Len()
		return []journal.Series{{Labels: []string{"addresses"}, Value: float64(addresses)}, {Labels: []string{"names"}, Value: float64(names)}}
	})
	counts := d.parts.reputation.Counts
	m.Counter("reputation_lessons_total", "What messages taught, of one subject each.", func() float64 { return float64(counts().Taught) })
	m.Counter("reputation_alone_total", "Questions that Redis did not answer, and this process did.", func() float64 { return float64(counts().Alone) })
	m.Counter("reputation_dropped_total", "Lessons that Redis was not told of, or may not have taken: only this process learned them.", func() float64 { return float64(counts().Dropped) })
}
