package quarantine

import (
	"context"
	"errors"

	"gatepost/gateway"
)

// spools reports whether a route's mail is kept in the spool while it is down.
func (v *Vault) spools(route string) bool {
	return v.opts.Spool != nil && v.opts.Spools != nil && v.opts.Spools(route)
}

// spool gives a message into the spool's keeping.
func (v *Vault) spool(ctx context.Context, d *gateway.Delivery, c gateway.Custody) error {
	if reason := v.opts.Spool.Takes(d.Content.Size); reason != "" {
		return errors.New(string(reason))
	}
	return v.opts.Spool.Put(ctx, d, c)
}

// said words the end of a relay.
func said(r *gateway.Relayed) string {
	words := r.Said
	if words == "" {
		words = r.Reply.Text
	}
	if r.Result == gateway.Delivered {
		return gateway.CleanText(words, 300)
	}
	return gateway.CleanText(r.Result.String()+"; "+r.AtStep(words), 300)
}
