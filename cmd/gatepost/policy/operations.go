package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/versions"
)

// Desk is what the operations work with.
type Desk struct {
	Keeper *versions.Keeper
	Store  versions.Store
	Target versions.Target
	Source func() string        // the path of policy.toml that is in force; "" for none
	Usual  func() time.Duration // how long versions wait to be confirmed where nobody says how long
	Log    *slog.Logger

	Sections func() config.Sections // the tables that checks describe
}

// Operations are those of the noun. desk is asked at each call.
func Operations(desk func() *Desk) []control.Operation {
	return append(append(draftOperations(desk), conditionOperations(desk)...),
		control.Define(showQuestion(), func(ctx context.Context, in *Some) (*api.Policy, error) { return desk().show(ctx, in) }),
		control.Define(exportQuestion(), func(ctx context.Context, in *Some) (*control.File, error) { return desk().export(ctx, in) }),
		control.Define(versionsQuestion(), func(ctx context.Context, in *Page) (*api.Versions, error) { return desk().list(ctx, in) }),
		control.Define(diffQuestion(), func(ctx context.Context, in *Two) (*api.Diff, error) { return desk().diff(ctx, in) }),
		control.Define(checkQuestion(), func(ctx context.Context, in *Document) (*api.Checked, error) { return desk().check(ctx, in) }),
		control.Define(applyQuestion(), func(ctx context.Context, in *Proposal) (*api.Published, error) { return desk().apply(ctx, in) }),
		control.Define(rollbackQuestion(), func(ctx context.Context, in *Back) (*api.Published, error) { return desk().rollback(ctx, in) }),
		control.Define(confirmQuestion(), func(ctx context.Context, in *Stay) (*api.Policy, error) { return desk().confirm(ctx, in) }),
	)
}

// current is the policy that counts everywhere. Where the store does not answer, it is what is in force in this node.
func (d *Desk) current(ctx context.Context) (*api.Policy, error) {
	head, err := d.Store.Head(ctx)
	number, text := d.Keeper.InForce()
	out := &api.Policy{}
	if err := d.Keeper.Health(); err != nil {
		out.Trouble = err.Error()
	}
	if err != nil {
		out.Trouble = "the store of the control data does not answer: this is what is in force in this node"
		d.Log.Warn("policy versions", "error", err)
	}
	if err == nil && head.Number > 0 {
		v, err := d.Store.Version(ctx, head.Number)
		if err != nil {
			return nil, d.fault(err)
		}
		out.Version, out.Text, out.Confirm, out.Back = versionOf(v), string(v.Text), head.Confirm, head.Back
		out.InForce = true
		if number != head.Number {
			out.Here = number
		}
		return out, nil
	}
	if number == 0 {
		text, out.File = d.Target.File(), d.Source()
	}
	now := d.Keeper.Now()
	out.Text, out.InForce = string(text), true
	out.Policy = config.BuiltinVersion
	if text != nil {
		out.Policy = config.Version(text)
	}
	if out.Number = number; number > 0 && number == now.Number {
		out.Time, out.Author, out.Kind, out.Confirm, out.Back = now.Time, now.Author, now.Kind, now.Confirm, now.Back
	}
	return out, nil
}

// show is a policy as whoever asks may see it: without secrets where he may not write one.
func (d *Desk) show(ctx context.Context, in *Some) (*api.Policy, error) {
	p, err := d.version(ctx, in.Version)
	if err == nil && !writes(ctx) {
		p.Text = string(config.Redacted([]byte(p.Text)))
	}
	return p, err
}

// writes reports whether whoever asks may write policies.
func writes(ctx context.Context) bool {
	actor := access.Of(ctx)
	return actor.May(access.PolicyDraft)
}

func (d *Desk) version(ctx context.Context, number int64) (*api.Policy, error) {
	if number == 0 {
		return d.current(ctx)
	}
	v, err := d.Version(ctx, number)
	if err != nil {
		return nil, err
	}
	return &api.Policy{Version: versionOf(v), Text: string(v.Text)}, nil
}

// Version is a version by its number; its error is a *control.Fault.
func (d *Desk) Version(ctx context.Context, number int64) (*versions.Version, error) {
	v, err := d.Store.Version(ctx, number)
	if err != nil {
		return nil, d.fault(err)
	}
	return v, nil
}

func (d *Desk) export(ctx context.Context, in *Some) (*control.File, error) {
	p, err := d.show(ctx, in)
	if err != nil {
		return nil, err
	}
	name := config.PolicyFile
	if p.Number > 0 {
		name = config.VersionFile(p.Number)
	}
	return &control.File{Name: name, Type: "application/toml", Data: []byte(p.Text)}, nil
}

func (d *Desk) list(ctx context.Context, in *Page) (*api.Versions, error) {
	head, err := d.Store.Head(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	all, err := d.Store.List(ctx, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, d.fault(err)
	}
	out := &api.Versions{Versions: []api.Version{}}
	for i := range all {
		if i == in.Limit {
			out.Next = strconv.FormatInt(all[i-1].Number, 10)
			break
		}
		v := versionOf(&all[i])
		v.InForce = v.Number == head.Number
		out.Versions = append(out.Versions, v)
	}
	return out, nil
}

func (d *Desk) diff(ctx context.Context, in *Two) (*api.Diff, error) {
	to, err := d.show(ctx, &Some{in.To})
	if err != nil {
		return nil, err
	}
	if in.From == 0 {
		in.From = to.Number - 1
	}
	if in.From < 1 {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "there is no version to compare it with"}
	}
	from, err := d.show(ctx, &Some{in.From})
	if err != nil {
		return nil, err
	}
	return &api.Diff{From: from.Number, To: to.Number, Diff: diff(from, config.VersionFile(to.Number), to.Text)}, nil
}

// diff is what differs from a policy to a document with a name.
func diff(from *api.Policy, name, text string) string {
	before := config.PolicyFile
	if from.Number > 0 {
		before = config.VersionFile(from.Number)
	}
	return versions.Unified(before, name, versions.Diff([]byte(from.Text), []byte(text)))
}

func (d *Desk) check(ctx context.Context, in *Document) (*api.Checked, error) {
	now, err := d.current(ctx)
	if err != nil {
		return nil, err
	}
	text := []byte(in.Text)
	out := &api.Checked{Policy: config.Version(text), Number: now.Number, Diff: diff(now, "draft", in.Text)}
	out.Unchanged = out.Policy == now.Policy
	prepared, warnings, err := d.Target.Prepare(ctx, now.Number+1, text)
	if err != nil {
		out.Problems = problemsOf(err, now.Number+1)
		return out, nil
	}
	prepared.Discard()
	out.Usable, out.Problems = true, problemsOf(warnings, now.Number+1)
	return out, nil
}

func (d *Desk) apply(ctx context.Context, in *Proposal) (*api.Published, error) {
	p, err := d.proposal(ctx, in.Match, in.Expect, in.Comment, in.Confirm)
	if err != nil {
		return nil, err
	}
	p.Text, p.Kind = []byte(in.Text), versions.Publish
	r, err := d.Keeper.Publish(ctx, *p)
	return d.published(ctx, p, r, err)
}

func (d *Desk) rollback(ctx context.Context, in *Back) (*api.Published, error) {
	p, err := d.proposal(ctx, in.Match, in.Expect, in.Comment, in.Confirm)
	if err != nil {
		return nil, err
	}
	if in.Confirm == "" {
		p.Confirm = 0 // who goes back is in a hurry, and has seen it work
	}
	r, err := d.Keeper.Rollback(ctx, in.Version, *p)
	return d.published(ctx, p, r, err)
}

// proposal reads what all that publishes have in common.
func (d *Desk) proposal(ctx context.Context, match string, expect *int64, comment, confirm string) (*versions.Proposal, error) {
	p := &versions.Proposal{Author: access.Of(ctx).Name, Comment: strings.TrimSpace(comment)}
	if len(p.Comment) > maxComment {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("comment: is longer than %d octets", maxComment), Field: "comment"}
	}
	switch n, err := strconv.ParseInt(match, 10, 64); {
	case match != "" && (err != nil || n < 0):
		return nil, d.moved(ctx)
	case match != "":
		p.Expect = n
	case expect == nil:
		return nil, &control.Fault{Status: http.StatusPreconditionRequired, Message: "say which version you began with, so that nobody's change is lost", Hint: "send If-Match with the ETag of /policy, or expect with its number"}
	default:
		p.Expect = *expect
	}
	p.Confirm = d.Usual()
	if confirm != "" {
		t, err := time.ParseDuration(confirm)
		if confirm != "0" && (err != nil || t != 0 && (t < leastTime || t > mostTime)) {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("confirm: is a time from %s to %s such as 90s, 10m or 2h, or 0", leastTime, mostTime), Field: "confirm"}
		}
		p.Confirm = t
	}
	return p, nil
}

// published tells what came of a proposal, and the audit log too.
func (d *Desk) published(ctx context.Context, p *versions.Proposal, r *versions.Result, err error) (*api.Published, error) {
	if wrong, ok := errors.AsType[*versions.Refused](err); ok {
		return nil, &control.Fault{Status: http.StatusUnprocessableEntity, Message: wrong.Error(), Hint: "nothing was changed", Field: "text"}
	}
	if errors.Is(err, versions.ErrMoved) {
		return nil, d.moved(ctx)
	}
	if err != nil {
		return nil, d.fault(err)
	}
	out := &api.Published{Version: versionOf(&r.Version), Unchanged: r.Unchanged, Confirm: r.Confirm, Problems: problemsOf(r.Warnings, r.Version.Number)}
	out.InForce = true
	if !r.Unchanged {
		control.Changed(ctx, control.Change{Object: "policy version " + api.VersionTag(out.Number), Before: map[string]int64{"version": p.Expect}, After: out.Version})
	}
	return out, nil
}

func (d *Desk) confirm(ctx context.Context, in *Stay) (*api.Policy, error) {
	switch err := d.Keeper.Confirm(ctx, in.Version); {
	case errors.Is(err, versions.ErrMoved):
		return nil, d.moved(ctx)
	case errors.Is(err, versions.ErrNone):
		return nil, &control.Fault{Status: http.StatusConflict, Message: fmt.Sprintf("version %d needs nobody to confirm it", in.Version)}
	case err != nil:
		return nil, d.fault(err)
	}
	control.Changed(ctx, control.Change{Object: "policy version " + api.VersionTag(in.Version), After: map[string]bool{"confirmed": true}})
	return d.current(ctx)
}

// moved says that another version is in force than somebody thinks.
func (d *Desk) moved(ctx context.Context) error {
	f := &control.Fault{Status: http.StatusPreconditionFailed, Message: "another version is in force than you began with, and nothing was changed", Hint: "look at what differs, and begin with that one: gatepost policy diff, gatepost policy export"}
	if now, err := d.current(ctx); err == nil && now.Number > 0 {
		f.Message = fmt.Sprintf("version %d is in force, by %s, and not the one that you began with: nothing was changed", now.Number, now.Author)
	}
	return f
}

// fault words an error of the store.
func (d *Desk) fault(err error) error {
	switch {
	case errors.Is(err, versions.ErrNone):
		return &control.Fault{Status: http.StatusNotFound, Message: "there is no such version", Hint: "gatepost policy versions lists them"}
	case errors.Is(err, versions.ErrSame):
		return &control.Fault{Status: http.StatusConflict, Message: "there is no version to go back to", Hint: "gatepost policy versions lists them"}
	}
	d.Log.Warn("policy versions", "error", err)
	return &control.Fault{Status: http.StatusServiceUnavailable, Message: "the store of the control data does not answer; mail goes on", Hint: "gatepost status tells why; gatepost policy versions tells then whether it was done"}
}

// versionOf is a version as it is shown.
func versionOf(v *versions.Version) api.Version {
	return api.Version{Number: v.Number, Time: v.Time, Author: v.Author, Comment: v.Comment, Kind: string(v.Kind), Of: v.Of, Undid: v.Undid, Policy: v.Digest}
}

// problemsOf are the problems of a document that would be a version, or what else is wrong with it.
func problemsOf(err error, number int64) (out []api.Problem) {
	list, ok := errors.AsType[config.Problems](err)
	if !ok {
		return []api.Problem{{Message: err.Error()}}
	}
	for _, p := range list {
		o := api.Problem{File: p.File, Line: p.Line, Column: p.Column, Key: p.Key, Message: p.Message, Instead: p.Instead, Warning: p.Warning}
		if o.File == config.VersionFile(number) || o.File == config.PolicyFile {
			o.File = ""
		}
		out = append(out, o)
	}
	return out
}
