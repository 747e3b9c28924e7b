package received

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"gatepost/gateway/received"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// Desk answers what is asked of reports that others sent.
type Desk struct {
	// File is where they lie, opened with the first that needs it; its error says why there is none.
	File func(context.Context) (*store.Received, error)
}

// ListQuestion is how reports are listed; Bodies asks for all of each.
func ListQuestion() control.Operation {
	return control.Look("reports list", "/reports", "List the reports that others sent about domains, the newest first", access.ReportsRead)
}

func showQuestion() control.Operation {
	return control.Look("reports show", "/reports/{number}", "Show one of them", access.ReportsRead)
}

// find answers gatepost reports list and show.
func (d *Desk) find(ctx context.Context, q store.ReceivedQuery) ([]store.ReceivedReport, error) {
	file, err := d.File(ctx)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	actor := access.Of(ctx)
	q.Domains = actor.Domains
	out, err := file.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Number != 0 && len(out) == 0 {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no report %d; gatepost reports list names those that there are", q.Number)}
	}
	if out == nil {
		out = []store.ReceivedReport{}
	}
	return out, nil
}

// Operations are those of reports that others sent. Somebody of some domains sees those about them.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(ListQuestion(), func(ctx context.Context, in *api.ReceivedAsk) ([]store.ReceivedReport, error) {
			return d.find(ctx, store.ReceivedQuery{Kind: received.Kind(in.Kind), Domain: strings.ToLower(in.Domain), Since: in.Since, Before: in.Cursor, Limit: in.Limit, Bodies: in.Bodies})
		}),
		control.Define(showQuestion(), func(ctx context.Context, in *api.ReceivedNumber) ([]store.ReceivedReport, error) {
			return d.find(ctx, store.ReceivedQuery{Number: in.Number, Limit: 1, Bodies: true})
		}),
	}
}
