package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"gatepost/filters"
	"gatepost/gateway/journal"
	"gatepost/internal/config"
	"gatepost/rbl"
)

// makeLists makes what watches over the lists that the policy uses, with what is known already of those that it used before;
// nil for none. Its error names the key.
func makeLists(c *config.Config, p *parts) (*rbl.Supervisor, error) {
	entries, err := listEntries(c)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	if before := p.lists.Load(); before != nil {
		return before.Renew(entries)
	}
	return rbl.NewSupervisor(entries, func(change rbl.Change) {
		if p.listChanged != nil {
			p.listChanged(change)
		}
	})
}

// listEntries reads the lists of a policy and their keys. One whose use is not set is left out, as check has warned.
func listEntries(c *config.Config) ([]rbl.Entry, error) {
	var out []rbl.Entry
	for _, u := range c.Policy.RBL.Used() {
		if u.Use == rbl.UseUnset {
			continue
		}
		if u.KeyFile != "" {
			key, err := readListKey(u.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("%s.key_file: %w", u.Path, err)
			}
			u.Key = key
		}
		out = append(out, rbl.Entry{List: u.List, Key: u.Key, Use: u.Use})
	}
	return out, nil
}

// readListKey reads a key from a file that holds nothing else. Its error never holds what was read.
func readListKey(name string) (rbl.Key, error) {
	info, err := os.Stat(name)
	if err != nil {
		return rbl.Key{}, err
	}
	if !info.Mode().IsRegular() { // a pipe would hold us up
		return rbl.Key{}, fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return rbl.Key{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<10)) // a key is a label of at most 63 octets
	if err != nil {
		return rbl.Key{}, err
	}
	return rbl.NewKey(string(text))
}

// listsLive proves each list, and tells how it is.
func listsLive(ctx context.Context, b *built, p *parts) (out []answer) {
	if b.lists == nil {
		return nil
	}
	b.lists.Probe(ctx, filters.ListDNS(p.resolver), time.Now())
	for _, s := range b.lists.Status(time.Now()) {
		a := answer{What: "list", Server: s.Name, Said: "its test points answer as they should"}
		if s.State != rbl.Armed {
			a.Err = fmt.Errorf("%s: %s %s", s.State, s.Cause, s.Detail)
		}
		out = append(out, a)
	}
	return out
}

// useLists puts lists in force: they are proved first, so that no client is let in because a list is new, and probed from
// then on instead of those before.
func (d *daemon) useLists(ctx context.Context, next *rbl.Supervisor) {
	if d.parts.lists.Load() == next {
		return
	}
	if next == nil {
		d.probing.end()
	} else {
		next.Probe(ctx, filters.ListDNS(d.parts.resolver), time.Now())
		d.probing.with(ctx, func(ctx context.Context) { next.Run(ctx, filters.ListDNS(d.parts.resolver)) })
	}
	d.parts.lists.Store(next)
}

// tellList tells the journal what became of a list.
func (d *daemon) tellList(c rbl.Change) {
	attrs := []slog.Attr{slog.String("list", c.List)}
	if c.Warning {
		d.journal.Daemon(journal.ListQuota, append(attrs, slog.String("detail", c.Detail))...)
		return
	}
	if c.To == rbl.Armed {
		if c.Detail != "" {
			attrs = append(attrs, slog.String("detail", c.Detail))
		}
		d.journal.Daemon(journal.ListArmed, attrs...)
		return
	}
	d.journal.Daemon(journal.ListAway, append(attrs, slog.String("state", c.To.String()), slog.String("cause", c.Cause.String()),
		slog.String("detail", c.Detail))...)
}

// listHealth is the part "lists" of health: whether each is used that the policy names. Mail goes on without them.
func (d *daemon) listHealth() (bool, string) {
	lists := d.parts.lists.Load()
	if lists == nil {
		if n := len(d.document.Load().Policy.RBL.Used()); n > 0 {
			return false, fmt.Sprintf("%d are named in policy.toml and none is asked, since rbl.use is not set", n)
		}
		return true, "none is used"
	}
	all := lists.Status(time.Now())
	armed, away := 0, ""
	for i := range all {
		if s := &all[i]; s.State == rbl.Armed {
			armed++
		} else if away == "" {
			away = fmt.Sprintf("; %s is %s: %s %s", s.Name, s.State, s.Cause, s.Detail)
		}
	}
	return away == "", fmt.Sprintf("%d of %d are used%s", armed, len(all), away)
}

// listInstruments shows each list.
func (d *daemon) listInstruments(m *journal.Metrics) {
	each := func(number func(s *rbl.Status) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			lists := d.parts.lists.Load()
			if lists == nil {
				return nil
			}
			for _, s := range lists.Status(time.Now()) {
				out = append(out, journal.Series{Labels: []string{s.Name}, Value: number(&s)})
			}
			return out
		}
	}
	list := []string{"list"}
	m.Gauges("list_armed", "1 while the DNS list is asked about mail, 0 while it does not prove that it works.", list, each(func(s *rbl.Status) float64 {
		if s.State == rbl.Armed {
			return 1
		}
		return 0
	}))
	m.Gauges("list_queries_day", "Questions to the DNS list in the last 24 hours.", list, each(func(s *rbl.Status) float64 { return float64(s.Queries) }))
	m.Gauges("list_quota_day", "Questions to the DNS list in 24 hours that are free of charge; 0 for none that is known.", list, each(func(s *rbl.Status) float64 { return float64(s.Quota) }))
	m.Counters("list_results_total", "Questions about mail to the DNS list, by what it said.", []string{"list", "verdict"}, func() (out []journal.Series) {
		if lists := d.parts.lists.Load(); lists != nil {
			for _, s := range lists.Status(time.Now()) {
				for verdict, n := range s.Results {
					out = append(out, journal.Series{Labels: []string{s.Name, verdict}, Value: float64(n)})
				}
			}
		}
		return out
	})
}
