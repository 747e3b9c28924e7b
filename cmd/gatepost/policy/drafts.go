package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/versions"
)

// draftOperations are those about what somebody has not published yet.
func draftOperations(desk func() *Desk) []control.Operation {
	return []control.Operation{
		control.Define(draftQuestion(), func(ctx context.Context, _ *None) (*api.Draft, error) { return desk().draft(ctx) }),
		control.Define(editQuestion(), func(ctx context.Context, in *Edit) (*api.Draft, error) { return desk().edit(ctx, in) }),
		control.Define(saveQuestion(), func(ctx context.Context, in *Text) (*api.Draft, error) { return desk().save(ctx, in) }),
		control.Define(discardQuestion(), func(ctx context.Context, _ *None) (*api.Draft, error) { return desk().discard(ctx) }),
	}
}

// owner is whose draft it is: who asks.
func owner(ctx context.Context) string { return access.Of(ctx).Name }

// held is the draft of whoever asks, or one that has not begun: the policy in force.
func (d *Desk) held(ctx context.Context) (*versions.Draft, *api.Policy, error) {
	now, err := d.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	draft, err := d.Store.Draft(ctx, owner(ctx))
	if errors.Is(err, versions.ErrNone) {
		return notBegun(ctx, now), now, nil
	}
	if err != nil {
		return nil, nil, d.fault(err)
	}
	return draft, now, nil
}

// notBegun is a draft that has the policy in force.
func notBegun(ctx context.Context, now *api.Policy) *versions.Draft {
	return &versions.Draft{Owner: owner(ctx), Base: now.Number, Text: []byte(now.Text)}
}

func (d *Desk) draft(ctx context.Context) (*api.Draft, error) {
	draft, now, err := d.held(ctx)
	if err != nil {
		return nil, err
	}
	return d.shown(ctx, draft, now), nil
}

// shown is a draft as it is told: with what is wrong with it as a document, and what it changes. Who may not write has none, but for
// one of the time when he might, and sees what is in force: it is told without its secrets, and what is wrong with it as it is.
func (d *Desk) shown(ctx context.Context, draft *versions.Draft, now *api.Policy) *api.Draft {
	text, before := draft.Text, *now
	if !writes(ctx) {
		text, before.Text = config.Redacted(text), string(config.Redacted([]byte(now.Text)))
	}
	out := &api.Draft{Exists: draft.Seq > 0, Base: draft.Base, Moved: draft.Base != now.Number, Seq: draft.Seq, Time: draft.Time, Text: string(text)}
	_, problems := config.DecodePolicy(config.PolicyFile, draft.Text, d.Sections())
	out.Usable, out.Problems = !problems.Refused(), problemsOf(problems, 0)
	if out.Exists {
		out.Diff = diff(&before, "draft", out.Text)
		if all, err := config.Compare([]byte(before.Text), text); err == nil {
			for _, c := range all {
				out.Changes = append(out.Changes, api.Changed(c))
			}
		}
	}
	return out
}

func (d *Desk) edit(ctx context.Context, in *Edit) (*api.Draft, error) {
	draft, now, err := d.held(ctx)
	if err != nil {
		return nil, err
	}
	if in.Match != "" && in.Match != strconv.FormatInt(draft.Seq, 10) {
		return nil, movedDraft()
	}
	var changes []config.Change
	for _, set := range in.Set {
		c, ok := config.ChangeOf(set)
		if !ok {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("set: %q has no equals sign; it is KEY=VALUE", short(set)), Field: "set"}
		}
		changes = append(changes, c)
	}
	for _, key := range in.Remove {
		changes = append(changes, config.Change{Key: key, Remove: true})
	}
	text, err := config.Edit(draft.Text, changes)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusUnprocessableEntity, Message: err.Error(), Hint: "nothing was changed", Field: "set"}
	}
	if text, err = move(text, in.Move); err != nil {
		return nil, err
	}
	return d.keep(ctx, draft, now, text)
}

// mostMoves bounds those of one edit.
const mostMoves = 20

// move gives elements other places.
func move(text []byte, moves []string) ([]byte, error) {
	wrong := func(message string) error {
		return &control.Fault{Status: http.StatusUnprocessableEntity, Message: message, Hint: "nothing was changed", Field: "move"}
	}
	if len(moves) > mostMoves {
		return nil, wrong(fmt.Sprintf("move: are %d, at most %d", len(moves), mostMoves))
	}
	for _, m := range moves {
		key, value, ok := config.CutSet(m)
		to, err := strconv.Atoi(value)
		if !ok || err != nil {
			return nil, wrong(fmt.Sprintf("move: %q is not KEY=NUMBER", short(m)))
		}
		if text, err = config.Move(text, key, to); err != nil {
			return nil, wrong(err.Error())
		}
	}
	return text, nil
}

func short(text string) string {
	if len(text) > 100 {
		return text[:100] + "..."
	}
	return text
}

func (d *Desk) save(ctx context.Context, in *Text) (*api.Draft, error) {
	draft, now, err := d.held(ctx)
	if err != nil {
		return nil, err
	}
	if in.Match != strconv.FormatInt(draft.Seq, 10) && (in.Match != "" || draft.Seq > 0) {
		return nil, movedDraft()
	}
	if len(in.Text) > config.MaxFile {
		return nil, &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: "the document is larger than " + config.Size(config.MaxFile).String(), Field: "text"}
	}
	if in.Base != nil {
		draft.Base = *in.Base
	}
	return d.keep(ctx, draft, now, []byte(strings.ReplaceAll(in.Text, "\r\n", "\n"))) // forms send CR
}

// keep saves the text of a draft.
func (d *Desk) keep(ctx context.Context, draft *versions.Draft, now *api.Policy, text []byte) (*api.Draft, error) {
	change := control.Change{Object: "policy draft of " + draft.Owner}
	change.Before, change.After = differing(draft.Text, text)
	draft.Text = text
	seq, err := d.Store.SaveDraft(ctx, draft)
	if errors.Is(err, versions.ErrMoved) {
		return nil, movedDraft()
	}
	if err != nil {
		return nil, d.fault(err)
	}
	draft.Seq = seq
	control.Changed(ctx, change)
	return d.shown(ctx, draft, now), nil
}

// differing is what the audit log has of a change of a draft, without secrets: of each key what it was and what it is; nil where there
// is nothing, or no document to tell it of.
func differing(from, to []byte) (before, after any) {
	if _, err := config.Compare(from, to); err != nil { // Redacted would make a document of one that is none
		return nil, nil
	}
	all, err := config.Compare(config.Redacted(from), config.Redacted(to))
	if err != nil {
		return nil, nil
	}
	was, is := map[string][]string{}, map[string][]string{} // of a list without names several
	for _, c := range all {
		if c.Before != "" {
			was[c.Key] = append(was[c.Key], c.Before)
		}
		if c.After != "" {
			is[c.Key] = append(is[c.Key], c.After)
		}
	}
	if len(was) > 0 {
		before = was
	}
	if len(is) > 0 {
		after = is
	}
	return before, after
}

func movedDraft() error {
	return &control.Fault{Status: http.StatusPreconditionFailed, Message: "your draft was changed meanwhile, perhaps in another window: nothing was saved", Hint: "load it again"}
}

func (d *Desk) discard(ctx context.Context) (*api.Draft, error) {
	was, now, err := d.held(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.Store.DropDraft(ctx, owner(ctx)); err != nil {
		return nil, d.fault(err)
	}
	is := notBegun(ctx, now)
	change := control.Change{Object: "policy draft of " + owner(ctx)}
	change.Before, change.After = differing(was.Text, is.Text)
	control.Changed(ctx, change)
	return d.shown(ctx, is, now), nil
}
