package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"gatepost/cmd/gatepost/policy"
	"gatepost/cmd/gatepost/shadow"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/store/admin"
	"gatepost/internal/versions"
)

// policyVersions is what publishes and follows versions of the policy.
type policyVersions struct {
	*versions.Keeper
	desk   *policy.Desk
	meter  *versions.Meter // of what becomes of mail
	shadow shadow.Runner   // a draft that judges beside what is in force
}

// openVersions makes what publishes and follows versions of the policy. c is what the daemon was started with: where that is a
// version, its copy is in the state folder.
func (d *daemon) openVersions(c *config.Config) {
	var began *config.Published
	if c.Version {
		began, _ = config.ReadPublished(d.bootstrap.StateDir) // it was read a moment ago; if not, the store tells
	}
	target, held := policyTarget{d}, admin.NewVersions(d.data)
	d.versions.meter = new(versions.Meter)
	d.versions.shadow.Ended = d.shadowEnded
	d.versions.Keeper = versions.New(versions.Options{Store: held, Target: target, Dir: d.bootstrap.StateDir, Copy: began, Meter: d.versions.meter, Tell: d.tellVersion, Log: d.log})
	d.versions.desk = &policy.Desk{Keeper: d.versions.Keeper, Store: held, Target: target, Log: d.log, Sections: sections,
		Source: func() string { return d.document.Load().PolicyPath },
		Usual:  func() time.Duration { return d.document.Load().Policy.Publish.Confirm }}
}

// shadowEnded audits that a draft in the shadow ended by itself.
func (d *daemon) shadowEnded(s *api.Shadow) {
	if note := d.noting(); note != nil {
		note(context.Background(), control.Entry{Actor: access.Actor{Name: "gatepost", Via: access.BySelf}, Operation: "policy shadow stop", Change: shadow.Change(s)})
	}
}

// policyTime bounds how long a node that knows no policy waits for what others have published.
const policyTime = 30 * time.Second

// awaitPolicy waits, before the first client is let in, until the control data has told what is published, where this node has
// neither a policy.toml nor a copy of a version and others may have published one: it would refuse their mail for good. Every
// other start waits for no store.
func (d *daemon) awaitPolicy(ctx context.Context) {
	if d.document.Load().PolicyText != nil || !d.data.Shared() {
		return
	}
	d.log.Warn("there is no policy.toml, and no version is known here: clients wait until the control data has told which is published", "at_most", policyTime)
	ctx, cancel := context.WithTimeout(ctx, policyTime)
	defer cancel()
	for ctx.Err() == nil && !d.versions.Looked() {
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// policyOperations are those about versions of the policy.
func (d *daemon) policyOperations() []control.Operation {
	return policy.Operations(func() *policy.Desk { return d.versions.desk })
}

// policyTarget puts versions in force.
type policyTarget struct{ d *daemon }

// preparedVersion holds d.swapping.
type preparedVersion struct {
	d    *daemon
	c    *config.Config
	next *built
}

// Prepare builds a version, with gatepost.toml as it was at the start.
func (t policyTarget) Prepare(ctx context.Context, number int64, text []byte) (versions.Prepared, config.Problems, error) {
	d := t.d
	d.swapping.Lock()
	c, problems := d.document.Load().WithVersion(number, text, sections())
	if c == nil {
		d.swapping.Unlock()
		return nil, nil, problems.Err()
	}
	next, err := d.prepare(ctx, c)
	if err != nil {
		d.swapping.Unlock()
		return nil, nil, wrongPolicy(c, outside(err))
	}
	return &preparedVersion{d, c, next}, append(problems, policyAdvice(c, next)...), nil
}

// Install puts it in force for new sessions.
func (p *preparedVersion) Install(ctx context.Context) {
	p.d.install(ctx, p.c, p.next)
	p.d.swapping.Unlock()
}

// Discard leaves everything as it is.
func (p *preparedVersion) Discard() {
	p.next.close()
	p.d.swapping.Unlock()
}

// wrongPolicy makes problems of what keeps a configuration from being built, as check does.
func wrongPolicy(c *config.Config, err error) error {
	if several, ok := errors.AsType[config.Problems](err); ok {
		return several
	}
	if at, ok := errors.AsType[*documentError](err); ok {
		return config.Problems{at.problem}
	}
	return unplaced(c, c.PolicyPath, err)
}

// policyAdvice are the warnings about a policy that can be used.
func policyAdvice(c *config.Config, b *built) (out config.Problems) {
	for _, more := range []config.Problems{routeWarnings(c), hostingWarnings(c), policyWarnings(c, b.snapshot.Policy), engineWarnings(c), portalWarnings(c), alarmWarnings(c)} {
		out = append(out, more...)
	}
	return out
}

// File is the policy of the start or the last reload, where no version was published.
func (t policyTarget) File() []byte { return t.d.document.Load().PolicyText }

// Guard is when a version is undone by itself.
func (t policyTarget) Guard() versions.Guard {
	p := &t.d.document.Load().Policy.Publish
	return versions.Guard{Watch: p.Watch, Share: p.Fall, Least: p.Least}
}

// tellVersion tells the journal that another version is in force.
func (d *daemon) tellVersion(e versions.Event) {
	v := &e.Version
	attrs := []slog.Attr{slog.Int64("version", v.Number), slog.String("policy", v.Digest), slog.String("author", gateway.CleanText(v.Author, 100)), slog.String("how", string(v.Kind))}
	if v.Comment != "" {
		attrs = append(attrs, slog.String("comment", gateway.CleanText(v.Comment, 200)))
	}
	if v.Undid > 0 {
		attrs = append(attrs, slog.Int64("undid", v.Undid))
	}
	if !e.Here {
		attrs = append(attrs, slog.Bool("by_other_node", true))
	}
	if v.Kind == versions.Undo {
		if d.surface != nil && d.surface.Audit != nil && e.Here { // of all others the operation tells
			d.surface.Audit(context.Background(), control.Entry{Actor: access.Actor{Name: "gatepost", Via: access.BySelf}, Operation: "policy undo",
				Change: control.Change{Object: "policy version " + strconv.FormatInt(v.Number, 10), Before: map[string]int64{"version": v.Undid}, After: map[string]any{"version": v.Number, "of": v.Of, "why": e.Why, "only_here": e.Lapsed}}})
		}
		if e.Lapsed {
			attrs = append(attrs, slog.String("why", e.Why), slog.Bool("only_here", true))
		}
		d.journal.Daemon(journal.PolicyUndone, attrs...)
		return
	}
	d.journal.Daemon(journal.PolicyPublished, attrs...)
}

// versionHealth is the part "policy_versions" of readiness.
func (d *daemon) versionHealth() (bool, string) {
	if err := d.versions.Health(); err != nil {
		return false, err.Error()
	}
	number, _ := d.versions.InForce()
	if number == 0 {
		return true, "none was published: policy.toml is in force"
	}
	text := "version " + strconv.FormatInt(number, 10) + " is in force"
	if now := d.versions.Now(); !now.Confirm.IsZero() && number == now.Number {
		text += ", and must be confirmed until " + now.Confirm.Format(time.TimeOnly) + " UTC: gatepost policy confirm " + strconv.FormatInt(number, 10)
	}
	return true, text
}

// versionInstruments shows what is in force.
func (d *daemon) versionInstruments() {
	m := d.journal.Metrics()
	m.Gauge("policy_version", "Number of the version of the policy in force; 0: policy.toml.", func() float64 { n, _ := d.versions.InForce(); return float64(n) })
	m.Gauge("policy_unconfirmed", "1 while the version in force must be confirmed, or goes.", func() float64 {
		if now := d.versions.Now(); !now.Confirm.IsZero() {
			return 1
		}
		return 0
	})
	d.journal.Health().Watch("policy_versions", d.versionHealth)
}

// meters counts what becomes of mail, so that a version under which hardly any is accepted is undone.
func (d *daemon) meters(e *gateway.Event) {
	switch {
	case e.Kind == gateway.TransactionEvent:
		o := e.Outcome()
		d.versions.meter.Count(o == gateway.Accept || o == gateway.Tag)
	case e.Session.Transactions == 0 && e.Verdict.Outcome.Refuses():
		d.versions.meter.Count(false)
	}
}

// loadInForce reads gatepost.toml again, with the policy that counts. ignored is policy.toml where it does not and says
// something else.
func (d *daemon) loadInForce() (c *config.Config, problems config.Problems, ignored string) {
	number, text := d.versions.InForce()
	if number == 0 {
		c, problems = config.LoadFiles(d.configPath, sections())
		return c, problems, ""
	}
	c, problems = config.LoadVersion(d.configPath, number, text, sections())
	if file := config.PolicyBeside(d.configPath); file != nil && string(file) != string(text) {
		ignored = config.PolicyFile + " is ignored, since version " + strconv.FormatInt(number, 10) + " is published: gatepost policy apply publishes it"
	}
	return c, problems, ignored
}
