package links

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/routing"
	"gatepost/internal/store/admin"
)

// What the audit log names the changes of users themselves.
const (
	Made  = "portal link"
	Ended = "portal unlink"
)

func listQuestion() control.Operation {
	return control.Operation{Name: "portal links", Method: http.MethodGet, Path: "/portal/links", Doc: "List the addresses that users of the portal linked to their own, the newest first", Right: access.QuarantineRead}
}

func removeQuestion() control.Operation {
	return control.Operation{Name: Ended, Method: http.MethodDelete, Path: "/portal/links/{id}", Doc: "Take a linked address away from a user of the portal; both addresses are told", Right: access.QuarantineChange}
}

// Store keeps links; admin.Links is one.
type Store interface {
	List(ctx context.Context, address string, below int64, most int) ([]admin.Link, error)
	One(ctx context.Context, id int64) (admin.Link, error)
	Remove(ctx context.Context, owner, address string) (was bool, err error)
}

// Desk is what the operations are about.
type Desk struct {
	Store func() Store
	// Away words an error of the store for whoever asks.
	Away func(error) error
	// Ended tells both sides of a link that was removed.
	Ended func(admin.Link)
}

// Operations are what can be asked about linked addresses.
func Operations(d *Desk) []control.Operation {
	return []control.Operation{control.Define(listQuestion(), d.list), control.Define(removeQuestion(), d.remove)}
}

// Change is what the audit log has of a link. It belongs to the domain of the address that is seen.
func Change(owner, address string) control.Change {
	return control.Change{Object: owner + " sees " + address, Domain: api.Domain(address)}
}

// visible is a link as an actor may see it; ok is false where he may not.
func visible(a *access.Actor, x *admin.Link) (out api.Link, ok bool) {
	out = api.Link{ID: x.ID, Since: x.Time}
	if a.SeesAny(x.Owner) {
		out.Owner = x.Owner
	}
	if a.SeesAny(x.Address) {
		out.Address = x.Address
	}
	return out, out.Owner != "" || out.Address != ""
}

func (d *Desk) list(ctx context.Context, in *api.LinksAsk) (*api.Links, error) {
	actor, address := access.Of(ctx), ""
	if in.Address != "" {
		a, err := routing.Address(in.Address)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Field: "address", Message: "address: is none", Hint: "write it whole, as info@example.org"}
		}
		if address = strings.ToLower(a.Text); !actor.SeesAny(address) { // else a guess would find what is hidden
			return nil, &control.Fault{Status: http.StatusForbidden, Field: "address", Message: "address: name one of your domains"}
		}
	}
	all, err := d.Store().List(ctx, address, in.Cursor, in.Limit)
	if err != nil {
		return nil, d.Away(err)
	}
	out := &api.Links{Links: []api.Link{}}
	for i := range all {
		if x, ok := visible(&actor, &all[i]); ok {
			out.Links = append(out.Links, x)
		}
	}
	if len(all) == in.Limit {
		out.Next = all[len(all)-1].ID
	}
	return out, nil
}

func (d *Desk) remove(ctx context.Context, in *api.LinkNumber) (*api.Link, error) {
	actor := access.Of(ctx)
	none := &control.Fault{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no link %d, or none that you see", in.ID), Hint: "gatepost portal links lists them"}
	x, err := d.Store().One(ctx, in.ID)
	if errors.Is(err, admin.ErrNone) {
		return nil, none
	}
	if err != nil {
		return nil, d.Away(err)
	}
	out, ok := visible(&actor, &x)
	if !ok {
		return nil, none
	}
	was, err := d.Store().Remove(ctx, x.Owner, x.Address)
	if err != nil {
		return nil, d.Away(err)
	}
	if !was {
		return nil, none
	}
	change := Change(x.Owner, x.Address)
	change.Before = map[string]string{"since": x.Time.Format(time.RFC3339)}
	control.Changed(ctx, change)
	d.Ended(x)
	return &out, nil
}
