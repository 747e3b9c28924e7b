package bypasses

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

func listQuestion() control.Operation {
	return control.Operation{Name: "bypass list", Method: http.MethodGet, Path: "/bypasses", Doc: "List the checks that are left out for a while", Right: access.StatusRead}
}

func startQuestion() control.Operation {
	return control.Operation{Name: "bypass", Method: http.MethodPost, Path: "/bypasses", Doc: "Leave a check out for a while", Right: access.BypassChange}
}

func endQuestion() control.Operation {
	return control.Operation{Name: "bypass end", Method: http.MethodDelete, Path: "/bypasses/{check}", Doc: "End a bypass before its time", Right: access.BypassChange}
}

// Desk is what the operations are about.
type Desk struct {
	Book *Book
	// Policy is the one in force.
	Policy func() *gateway.Policy
}

// Operations are what can be asked about bypasses.
func Operations(d *Desk) []control.Operation {
	return []control.Operation{control.Define(listQuestion(), d.list), control.Define(startQuestion(), d.start), control.Define(endQuestion(), d.end)}
}

func (d *Desk) list(context.Context, *struct{}) (*api.Bypasses, error) {
	return &api.Bypasses{Bypasses: d.Book.List()}, nil
}

func (d *Desk) start(ctx context.Context, in *api.BypassStart) (*api.Bypass, error) {
	if err := refusal(d.Policy(), in.Check); err != nil {
		return nil, err
	}
	long, err := config.ParseDuration(in.For)
	if err != nil || long < shortest || long > Longest {
		return nil, &control.Fault{Status: http.StatusBadRequest, Field: "for", Message: fmt.Sprintf("for: is no time from %s to %s", config.FormatDuration(shortest), config.FormatDuration(Longest)),
			Hint: "write for example 2h; what shall stay is a change of the policy"}
	}
	if strings.TrimSpace(in.Reason) == "" {
		return nil, &control.Fault{Status: http.StatusBadRequest, Field: "reason", Message: "reason: is needed", Hint: "it is told to whoever gets the alarm"}
	}
	by, now := access.Of(ctx), time.Now()
	x := api.Bypass{Check: in.Check, Since: now, Until: now.Add(long), By: by.Name, Reason: in.Reason}
	before, err := d.Book.Start(x)
	if err != nil {
		return nil, err
	}
	change := control.Change{Object: "bypass " + x.Check, After: x}
	if before != nil {
		change.Before = before
	}
	control.Changed(ctx, change)
	return &x, nil
}

func (d *Desk) end(ctx context.Context, in *api.BypassName) (*api.Bypasses, error) {
	before, ok, err := d.Book.End(in.Check)
	if !ok {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: in.Check + " is not left out", Hint: "gatepost bypass list shows what is"}
	}
	control.Changed(ctx, control.Change{Object: "bypass " + in.Check, Before: before})
	if err != nil {
		return nil, err
	}
	return &api.Bypasses{Bypasses: d.Book.List()}, nil
}

// refusal says why a check may not be left out; nil where it may.
func refusal(p *gateway.Policy, check string) error {
	if check == gateway.ScoringCheck {
		return nil
	}
	refuse := func(why, hint string) error {
		return &control.Fault{Status: http.StatusConflict, Field: "check", Message: check + " cannot be left out: " + why, Hint: hint}
	}
	if check == gateway.ProtocolCheck {
		return refuse("what it refuses is against the protocol, and would break the message or its neighbours", "")
	}
	c, ok := p.Checks[check]
	if !ok {
		names := slices.Sorted(maps.Keys(p.Checks))
		names = slices.DeleteFunc(names, func(n string) bool { return !p.Checks[n].Class.Bypassable() })
		return &control.Fault{Status: http.StatusNotFound, Field: "check", Message: "there is no check " + fmt.Sprintf("%q", gateway.CleanText(check, 40)), Hint: "one of: scoring, " + strings.Join(names, ", ")}
	}
	switch c.Class {
	case gateway.ClassMalware:
		return refuse("it keeps malware out, and mail without it would reach people unscanned", "mail waits at its senders while the scanner is away; optional engines are left out by the policy")
	case gateway.ClassRecipient:
		return refuse("without it mail is taken for people who do not exist, and is lost or bounced", "look at gatepost recipients directories")
	case gateway.ClassRelay:
		return refuse("without it this is an open relay", "add the domain to policy.toml")
	}
	if !c.Class.Bypassable() {
		return refuse("nothing overrules it", "")
	}
	if c.Action == gateway.ActionOff {
		return refuse("it is off already", "checks."+check+".action in policy.toml says so")
	}
	return nil
}
