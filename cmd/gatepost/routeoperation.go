package main

import (
	"context"
	"errors"

	nexthop "gatepost/cmd/gatepost/route"
	"gatepost/gateway/relay"
	"gatepost/internal/access"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/versions"
)

// routeOperations are those about the way of mail to next hops.
func (d *daemon) routeOperations() []control.Operation {
	return (&nexthop.Desk{Document: d.documentOf, Routes: makeRoutes, Pools: func() *relay.Pools { return d.parts.hops }, Serves: routeOfDomain}).Operations()
}

// documentOf is what is in force, or the draft of whoever asks; who has none has begun with what is in force.
func (d *daemon) documentOf(ctx context.Context, draft bool) (*config.Config, error) {
	now := d.document.Load()
	if !draft {
		return now, nil
	}
	held, err := d.versions.desk.Store.Draft(ctx, access.Of(ctx).Name)
	switch {
	case errors.Is(err, versions.ErrNone):
		return now, nil
	case err != nil:
		return nil, storeAway(err)
	}
	c, problems := now.WithVersion(0, held.Text, sections())
	if c == nil {
		return nil, draftFault(problems.Err())
	}
	return c, nil
}

// routeOfDomain is the route of a domain; "" where it is not served.
func routeOfDomain(c *config.Config, domain string) string {
	if at := makePolicy(c).Domain(domain); at != nil {
		return at.Route
	}
	return ""
}
