package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/ownlist"
)

// accessOwn asks the lists that recipients keep for themselves, in the portal.
func accessOwn() Definition {
	return Definition{
		Name: gateway.OwnCheck, Stage: gateway.Data, Class: gateway.ClassList,
		Doc:     "Does a recipient's own list, which he keeps in the portal, block the sender of the envelope or the author, or allow the author, and does DMARC prove him? A block counts for that recipient alone. An allow entry waives for him what opinions, lists and limits found; never what a message holds, whom it poses as, or malware.",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionPass,
		Measures: []Measure{
			{gateway.OwnAllow, "the recipient allows the author, and DMARC proves him", 0},
			{gateway.OwnBlock, "the recipient blocks the sender", 0},
		},
		Needs: func(d *Deps) bool { return d.OwnLists != nil },
		Build: func(_ any, d *Deps) (Built, error) {
			return Built{Run: func(ctx context.Context, in *gateway.Input) gateway.Finding { return ownLists(ctx, d, in.Envelope) }}, nil
		},
	}
}

// OwnLists tells what recipients' own lists are now.
type OwnLists func() *ownlist.Lists

// ownLists asks the list of each recipient. DNS is asked only where an author is allowed.
func ownLists(ctx context.Context, d *Deps, e *gateway.Envelope) gateway.Finding {
	lists := d.OwnLists()
	if lists.Len() == 0 {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
	}
	from := authorOf(e)
	var senders []string // whom a block is about: anybody may have written these names, which makes nothing milder
	if e.From.Domain != "" {
		senders = append(senders, e.From.Local+"@"+e.From.Domain)
	}
	for _, a := range from.Addresses {
		senders = append(senders, a.Local+"@"+a.Domain)
	}
	out, asked := gateway.Passed(), false
	var proven, why string
	for i := range e.Rcpts {
		to := strings.ToLower(e.Rcpts[i].Address.Local + "@" + e.Rcpts[i].Address.Domain)
		if hit := lists.Find(to, ownlist.Block, senders...); hit != nil {
			if out.Result != gateway.Fail {
				blocked := gateway.Failed(gateway.AccessOwn)
				blocked.Measures, blocked.Evidence = out.Measures, out.Evidence
				out = blocked
			}
			out = out.With(gateway.Measure{Name: gateway.OwnBlock, Value: 1, Text: to}).Show("entry of "+to, "block "+hit.Sender)
			continue
		}
		hit := lists.Find(to, ownlist.Allow, senders...)
		if hit == nil {
			continue
		}
		if !asked {
			proven, why = d.provenAuthor(ctx, e)
			asked = true
		}
		if proven == "" || lists.Find(to, ownlist.Allow, proven) == nil {
			out = out.Show("entry of "+to, "allow "+hit.Sender).Show(unused, "not authenticated: "+why)
			continue
		}
		out = out.With(gateway.Measure{Name: gateway.OwnAllow, Value: 1, Text: to}).Show("entry of "+to, "allow "+hit.Sender).Show("proven", proven)
	}
	return out
}

// provenAuthor is the author whom DMARC proves, or why there is none.
func (d *Deps) provenAuthor(ctx context.Context, e *gateway.Envelope) (proven, why string) {
	if d.dmarc == nil {
		return "", "checks.dmarc is off"
	}
	a := d.dmarcShared(ctx, e)
	if a.asked == nil {
		return "", "what DMARC says could not be told"
	}
	if proven, why = a.proven(authorOf(e)); why == "" && proven == "" {
		why = "it is another author whom DMARC proves"
	}
	if a.Outcome != nil && a.Result == dmarc.TempError {
		why = "DNS could not tell"
	}
	return proven, why
}
