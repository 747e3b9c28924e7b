package quarantine

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// each does something to messages, one after the other, and tells what became of each.
func (d *Desk) each(ctx context.Context, ids []gateway.ID, do func(id gateway.ID, done *api.KeptDone) error) (*api.KeptChanged, error) {
	if len(ids) > keptAtOnce {
		return nil, bad("ids", "at most %d at once", keptAtOnce)
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	control.Changed(ctx, control.Change{Object: strings.Join(names[:min(len(names), 10)], " "), After: map[string]any{"messages": len(names)}})
	out := &api.KeptChanged{Messages: make([]api.KeptDone, 0, len(ids))}
	for _, id := range ids {
		done := api.KeptDone{ID: id}
		if err := do(id, &done); err != nil {
			done.Error = gateway.CleanText(d.failed(ctx, id, err).Error(), 400)
		}
		out.Messages = append(out.Messages, done)
	}
	return out, nil
}

// whose are the copies that a change of an actor is about: nil for all. Of those that he does not see he is told that they are not
// there.
func (d *Desk) whose(ctx context.Context, id gateway.ID, named []string, wants func(quarantine.State) bool) ([]string, *quarantine.Row, error) {
	row, err := d.row(ctx, id)
	actor := access.Of(ctx)
	if actor.Everywhere() {
		return named, row, nil // the vault itself knows more than its index, and what cannot be read
	}
	if err != nil {
		return nil, nil, err
	}
	for _, rcpt := range named {
		if !slices.ContainsFunc(row.Rcpts, func(to quarantine.RowRcpt) bool { return strings.EqualFold(to.Address, rcpt) }) {
			return nil, nil, fmt.Errorf("%s: %w", gateway.CleanText(rcpt, 320), quarantine.ErrNoRecipient)
		}
	}
	if len(named) > 0 {
		return named, row, nil
	}
	for i := range row.Rcpts {
		if wants(row.Rcpts[i].State) {
			named = append(named, row.Rcpts[i].Address)
		}
	}
	if len(named) == 0 {
		return nil, nil, quarantine.ErrNobodyLeft
	}
	return named, row, nil
}

// address reads another address that mail shall go to. It gets what is in a message, so that whoever may not read that sends it
// nowhere, and whoever has some domains sends it to those.
func (d *Desk) address(ctx context.Context, field, text string) (*gateway.Address, error) {
	actor := access.Of(ctx)
	if !actor.May(access.QuarantineView) {
		return nil, &control.Fault{Status: http.StatusForbidden, Message: field + ": sending a message to another address needs the right " + string(access.QuarantineView), Field: field}
	}
	to, err := d.Address(text)
	if err != nil {
		return nil, bad(field, "%q is no address; write it whole, as info@example.org", gateway.CleanText(text, 320))
	}
	if !actor.Sees(to.Domain) {
		return nil, &control.Fault{Status: http.StatusForbidden, Message: field + ": " + to.Text + " is not of your domains", Field: field}
	}
	return &to, nil
}

func (d *Desk) release(ctx context.Context, in *api.KeptRelease) (*api.KeptChanged, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	var to *gateway.Address
	if in.To != "" {
		if to, err = d.address(ctx, "to", in.To); err != nil {
			return nil, err
		}
	}
	if in.Force && actor.Role == access.HelpDesk {
		return nil, &control.Fault{Status: http.StatusForbidden, Message: "force: a help desk lets no malware go, nor what nobody could look into", Field: "force"}
	}
	return d.each(ctx, in.IDs, func(id gateway.ID, done *api.KeptDone) error {
		rcpts, row, err := d.whose(ctx, id, in.Rcpts, func(s quarantine.State) bool { return s == quarantine.Visible })
		if err != nil {
			return err
		}
		if actor.Role == access.HelpDesk && (row == nil || row.Class == quarantine.Malware) {
			if row == nil {
				if there := d.elsewhere(ctx, id); there != nil {
					return there
				}
			}
			return &control.Fault{Status: http.StatusForbidden, Message: "a help desk lets no malware go", Hint: "ask an operator"}
		}
		done.Results, err = v.Release(ctx, &quarantine.Release{ID: id, Rcpts: rcpts, To: to, By: gateway.CleanText(actor.Name, 64), Force: in.Force})
		return err
	})
}

func (d *Desk) erase(ctx context.Context, in *api.KeptDelete) (*api.KeptChanged, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	return d.each(ctx, in.IDs, func(id gateway.ID, _ *api.KeptDone) error {
		rcpts, _, err := d.whose(ctx, id, in.Rcpts, func(s quarantine.State) bool { return s != quarantine.Deleted })
		if err != nil {
			return err
		}
		return v.Delete(ctx, id, rcpts, gateway.CleanText(actor.Name, 64))
	})
}

func (d *Desk) report(ctx context.Context, in *api.KeptReport) (*api.KeptChanged, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	return d.each(ctx, in.IDs, func(id gateway.ID, done *api.KeptDone) error {
		if _, _, err := d.whose(ctx, id, nil, func(quarantine.State) bool { return true }); err != nil {
			return err
		}
		done.Said, err = v.Report(ctx, id, in.As == "spam", gateway.CleanText(actor.Name, 64))
		return err
	})
}

func (d *Desk) forward(ctx context.Context, in *api.KeptForward) (*api.KeptChanged, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	to, err := d.address(ctx, "to", in.To)
	if err != nil {
		return nil, err
	}
	actor := access.Of(ctx)
	return d.each(ctx, in.IDs, func(id gateway.ID, done *api.KeptDone) error {
		if _, _, err := d.whose(ctx, id, nil, func(quarantine.State) bool { return true }); err != nil {
			return err
		}
		res, err := v.Forward(ctx, id, *to, gateway.CleanText(actor.Name, 64))
		if err == nil {
			done.Results = []quarantine.Result{res}
		}
		return err
	})
}

func (d *Desk) expire(ctx context.Context, _ *struct{}) (*api.Expired, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	out := &api.Expired{Expired: v.Expire(ctx)}
	control.Changed(ctx, control.Change{Object: "quarantine", After: out})
	return out, nil
}

func (d *Desk) clearLatch(ctx context.Context, _ *struct{}) (*api.Was, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	before := v.Status(ctx).Latched
	if before == "" {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the quarantine is not shut", Hint: "nothing was changed"}
	}
	if err := v.Unlatch(); err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "the disk still fails: " + err.Error(), Hint: "the quarantine stays shut, and what should go there is deferred"}
	}
	control.Changed(ctx, control.Change{Object: "quarantine", Before: before})
	actor := access.Of(ctx)
	d.Told("cleared", "", gateway.CleanText(actor.Name, 64))
	return &api.Was{Was: before}, nil
}

func (d *Desk) digests(ctx context.Context, in *api.DigestAsk, send bool) (*api.Digests, error) {
	list, err := d.Digests(ctx, in.Rcpt, send)
	if send {
		control.Changed(ctx, control.Change{Object: in.Rcpt, After: map[string]any{"digests": len(list)}})
	}
	return &api.Digests{Digests: list}, err
}

func (d *Desk) keys(ctx context.Context, _ *struct{}) (*api.KeptKeys, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	keys, err := v.Keys(ctx)
	return &api.KeptKeys{Keys: keys}, fault(err)
}

func (d *Desk) rotate(ctx context.Context, _ *struct{}) (*api.KeptKeys, error) {
	return d.changeKey(ctx, "made key", func(v *quarantine.Vault) (string, error) { return v.RotateKey() })
}

func (d *Desk) forget(ctx context.Context, in *api.KeptKey) (*api.KeptKeys, error) {
	return d.changeKey(ctx, "forgot key", func(v *quarantine.Vault) (string, error) { return in.Key, v.ForgetKey(ctx, in.Key) })
}

func (d *Desk) changeKey(ctx context.Context, did string, change func(*quarantine.Vault) (string, error)) (*api.KeptKeys, error) {
	v, err := d.Vault()
	if err != nil {
		return nil, err
	}
	key, err := change(v)
	if err != nil {
		return nil, fault(err)
	}
	actor := access.Of(ctx)
	control.Changed(ctx, control.Change{Object: "key " + gateway.CleanText(key, 20), After: did})
	d.Told(did, gateway.CleanText(key, 20), gateway.CleanText(actor.Name, 64))
	return d.keys(ctx, nil)
}
