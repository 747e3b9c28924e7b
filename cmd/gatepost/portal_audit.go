package main

import (
	"context"
	"strings"

	"gatepost/console/portal"
	"gatepost/gateway/digest"
	"gatepost/internal/access"
	"gatepost/internal/control"
)

// noteLink has the audit log tell who pressed the button of a link in a digest, for which message, and what came of it. The token, which
// lets in whoever has it, is not in the entry.
func (d *daemon) noteLink(ctx context.Context, t *digest.Token, became portal.State) {
	note := d.noting()
	if note == nil {
		return
	}
	e := control.Entry{Actor: access.Actor{Name: t.Rcpt, Via: access.ByPortal}, Operation: "quarantine release", In: map[string]string{"by": "a link", "to": t.Rcpt},
		Change: control.Change{Object: t.ID.String(), Domain: strings.ToLower(t.Rcpt[strings.LastIndexByte(t.Rcpt, '@')+1:])}}
	switch became {
	case portal.Released:
		e.Change.Before, e.Change.After = map[string]string{t.Rcpt: "visible"}, map[string]string{t.Rcpt: "released"}
	case portal.Forbidden:
		e.Error = "users may not release it"
	default:
		e.Error = "it was not released"
	}
	note(context.WithoutCancel(ctx), e)
}
