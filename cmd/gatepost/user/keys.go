package user

import (
	"context"
	"net/http"

	"gatepost/internal/access"
	"gatepost/internal/accounts"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// Questions about keys of SSH. Their right is that of one's own, as that of tokens is.
func keysQuestion() control.Operation {
	return control.Operation{Name: "ssh key list", Method: http.MethodGet, Path: "/ssh-keys", Doc: "List the public keys by which users come in by SSH", Right: access.Own}
}
func keyQuestion() control.Operation {
	return control.Operation{Name: "ssh key add", Method: http.MethodPost, Path: "/ssh-keys", Doc: "Let a user come in by SSH with a key", Right: access.Own}
}
func dropQuestion() control.Operation {
	return control.Operation{Name: "ssh key remove", Method: http.MethodDelete, Path: "/ssh-keys/{id}", Doc: "Let nobody come in by a key any more, and end who is in by it", Right: access.Own}
}

type keyIn struct {
	User string `json:"user" doc:"whose it is; by default one's own"`
	Name string `json:"name" doc:"that its user knows it by; by default the comment of the key"`
	Key  string `json:"key" doc:"the line of a file *.pub of ssh-keygen" required:"true"`
}

func (d *Desk) keyOperations() []control.Operation {
	return []control.Operation{control.Define(keysQuestion(), d.keys), control.Define(keyQuestion(), d.key), control.Define(dropQuestion(), d.drop)}
}

func (d *Desk) keys(ctx context.Context, in *whose) (*api.SSHKeys, error) {
	name, err := pick(access.Of(ctx), in)
	if err != nil {
		return nil, err
	}
	names, err := d.names(ctx)
	if err != nil {
		return nil, d.fault(err)
	}
	all, err := d.Accounts.SSHKeys(ctx, name)
	if err != nil {
		return nil, d.fault(err)
	}
	all, next := pageOf(all, in.page, func(k accounts.SSHKey) string { return newest(k.Created, k.ID) })
	out := &api.SSHKeys{Keys: []api.SSHKey{}, Next: next}
	for _, k := range all {
		out.Keys = append(out.Keys, shownKey(k, names[k.User]))
	}
	if d.HostKey != nil {
		out.Host = d.HostKey()
	}
	return out, nil
}

func shownKey(k accounts.SSHKey, user string) api.SSHKey {
	return api.SSHKey{ID: k.ID, User: user, Name: k.Name, Kind: k.Kind, Fingerprint: k.Fingerprint, Created: k.Created, Used: k.Used, UsedFrom: k.UsedFrom}
}

func (d *Desk) key(ctx context.Context, in *keyIn) (*api.SSHKey, error) {
	name, err := own(access.Of(ctx), in.User)
	if err != nil {
		return nil, err
	}
	k, err := d.Accounts.AddSSHKey(ctx, access.Of(ctx), name, in.Name, in.Key)
	if err != nil {
		return nil, d.fault(err)
	}
	out := shownKey(k, accounts.Name(name))
	control.Changed(ctx, control.Change{Object: out.User, After: out})
	return &out, nil
}

func (d *Desk) drop(ctx context.Context, in *revokeIn) (*api.SSHKey, error) {
	k, err := d.Accounts.RemoveSSHKey(ctx, access.Of(ctx), in.ID)
	if err != nil {
		return nil, d.fault(err)
	}
	names, err := d.names(ctx)
	if err != nil {
		names = nil // it is removed; whose it was is not worth an error
	}
	out := shownKey(k, names[k.User])
	control.Changed(ctx, control.Change{Object: out.User, Before: out})
	return &out, nil
}
