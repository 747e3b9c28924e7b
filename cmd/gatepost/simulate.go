package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"gatepost/cmd/gatepost/shadow"
	"gatepost/cmd/gatepost/whatif"
	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/replay"
)

// simulateOperations are those of what-if, of drafts that run in the shadow, and of entries of lists, which are tried by it.
func (d *daemon) simulateOperations() []control.Operation {
	desk := d.whatIf()
	return slices.Concat(desk.Operations(), d.entryOperations(desk), shadow.Operations(&shadow.Desk{Runner: &d.versions.shadow, Draft: d.draft, Version: d.versionText}))
}

// whatIf is what judges recorded mail again.
func (d *daemon) whatIf() *whatif.Desk {
	return whatif.New(whatif.Desk{Log: d.readLog(), Draft: d.draft, Version: d.versionText, Marks: func(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error) {
		if d.vault == nil {
			return nil, nil
		}
		return d.vault.Find(ctx, f)
	}})
}

// versionText is the document of a version.
func (d *daemon) versionText(ctx context.Context, number int64) ([]byte, error) {
	v, err := d.versions.desk.Version(ctx, number)
	if err != nil {
		return nil, err
	}
	return v.Text, nil
}

// draft builds a policy to judge recorded mail by, and puts nothing in force; without a text it is that in force. stale are the
// keys by which the two find different things, which replay cannot know of.
func (d *daemon) draft(ctx context.Context, text []byte) (out *replay.Draft, stale []string, err error) {
	now := d.document.Load()
	if text == nil {
		return draftOf(now, d.now.Load().snapshot), nil, nil
	}
	c, out, err := d.drafted(ctx, now, text)
	if err != nil {
		return nil, nil, err
	}
	lists := filters.ListsAgain(configured(now.Policy.Checks), configured(c.Policy.Checks))
	out.Again = anew(lists)
	stale = slices.DeleteFunc(staleKeys(now.Policy, c.Policy), func(key string) bool { return lists[strings.TrimPrefix(key, "checks.")] != nil })
	return out, stale, nil
}

// drafted builds a document beside the one in force, and puts it not in force.
func (d *daemon) drafted(ctx context.Context, now *config.Config, text []byte) (*config.Config, *replay.Draft, error) {
	d.swapping.Lock()
	defer d.swapping.Unlock()
	c, problems := now.WithVersion(0, text, sections())
	if c == nil {
		return nil, nil, draftFault(problems.Err())
	}
	next, err := d.prepare(ctx, c)
	if err != nil {
		return nil, nil, draftFault(wrongPolicy(c, outside(err)))
	}
	defer next.close()
	return c, draftOf(c, next.snapshot), nil
}

// draftFault words what is wrong with a draft, the first few things of it.
func draftFault(err error) error {
	const most = 5
	text := err.Error()
	if all, ok := errors.AsType[config.Problems](err); ok {
		var lines []string
		for _, p := range all {
			if p.Warning {
				continue
			}
			p.File = "draft"
			if lines = append(lines, p.String()); len(lines) == most {
				break
			}
		}
		text = strings.Join(lines, "\n")
	}
	return &control.Fault{Status: http.StatusBadRequest, Message: "the draft cannot be used: " + text, Hint: "gatepost policy check tells all that is wrong with it", Field: "text"}
}

// draftOf is what replay reads of a configuration.
func draftOf(c *config.Config, s *gateway.Snapshot) *replay.Draft {
	out := &replay.Draft{Policy: s.Policy, Pipeline: s.Pipeline, Spares: map[string]bool{}, Waits: map[string]bool{"greylist": true, "greylist.null": true}}
	for name, check := range c.Policy.Checks {
		out.Spares[name] = check.When == config.Undecided
	}
	return out
}

// staleKeys are those in which two policies differ so that checks would find something else.
func staleKeys(now, draft *config.Policy) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(draft.Checks)) {
		if before := now.Checks[name]; before != nil && !reflect.DeepEqual(before.Options, draft.Checks[name].Options) {
			out = append(out, "checks."+name)
		}
	}
	names := func(p *config.Policy) (all []string) {
		for i := range p.Domains {
			all = append(all, p.Domains[i].Name+" "+p.Domains[i].Route)
		}
		slices.Sort(all)
		return all
	}
	for _, part := range []struct {
		key  string
		a, b any
	}{{"domain", names(now), names(draft)}, {"limits", now.Limits, draft.Limits}, {"rate", now.Rates, draft.Rates}, {"rbl", now.RBL, draft.RBL},
		{"tls_required", now.RequiredTLS, draft.RequiredTLS}, {"trusted", now.Trusted, draft.Trusted}, {"trusted_relay", now.Relays, draft.Relays}} {
		if !reflect.DeepEqual(part.a, part.b) {
			out = append(out, part.key)
		}
	}
	return out
}
