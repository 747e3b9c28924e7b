package entries

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatepost/cmd/gatepost/whatif"
	"gatepost/filters"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/replay"
	"gatepost/internal/store"
)

// tryTime bounds a trial, with waiting for its turn.
const tryTime = 55 * time.Second

// Trier tries entries on recorded mail.
type Trier struct {
	Log replay.Source
	// Begin waits for the turn among all that judge recorded mail again.
	Begin func(ctx context.Context) (done func(), err error)
	// Draft builds what is in force with a change of its document, and without; neither is put in force. Its error, if it is a
	// *control.Fault, is the reply.
	Draft func(ctx context.Context, change config.Change, x filters.Listed) (*replay.Entry, error)
}

func tryQuestion() control.Operation {
	return control.Operation{Name: "entry try", Method: http.MethodPost, Path: "/lists/try", Right: access.PolicyRead, Time: tryTime,
		Doc: "Tell which recorded messages an entry would have met that is not written yet, and what would have become of them"}
}

func (t *Trier) operations() []control.Operation {
	return []control.Operation{control.Define(tryQuestion(), t.try)}
}

func (t *Trier) try(ctx context.Context, in *api.EntryTry) (*api.EntryTried, error) {
	change, x, err := proposed(in, time.Now())
	if err != nil {
		return nil, err
	}
	done, err := t.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	q, err := t.Draft(ctx, change, x)
	if err != nil {
		return nil, err
	}
	q.Window, q.Limit = store.Window{Since: time.Now().AddDate(0, 0, -max(in.Days, 1))}, in.Limit
	out, err := replay.Meet(ctx, t.Log, q)
	if err != nil {
		return nil, err
	}
	whatif.Numbers(ctx, &out.List, &out.More)
	return out, nil
}

// proposed is the change of a document that writes an entry, and the entry as findings name it.
func proposed(in *api.EntryTry, now time.Time) (config.Change, filters.Listed, error) {
	wrong := func(field, message, hint string) error {
		return &control.Fault{Status: http.StatusBadRequest, Message: message, Hint: hint, Field: field}
	}
	value := strings.TrimSpace(in.Value)
	none := config.Change{}
	if value == "" || len(value) > 320 {
		return none, filters.Listed{}, wrong("value", "value: has 1 to 320 octets", "")
	}
	entry := map[string]any{"owner": "trial", "reason": "trial", "expires": now.AddDate(1, 0, 0).UTC().Format(time.DateOnly)}
	x := filters.Listed{Check: "access." + in.List, Kind: in.Kind, Value: value}
	switch {
	case in.List == "client":
		network, err := Network(value)
		if err != nil {
			return none, x, wrong("value", "value: "+err.Error(), "write 192.0.2.7, or 192.0.2.0/24")
		}
		entry["network"], entry["list"], x.Value = network, in.Kind, network
	case in.List == "author" && in.Kind == "block":
		return none, x, wrong("kind", "authors are only allowed: whom a message names in From is anybody's choice", "block the sender of the envelope, or write a [[rule]] for From")
	case in.List == "author":
		entry["address"] = value
	case in.Kind == "allow":
		return none, x, wrong("kind", "senders are only blocked: their names can be forged", "allow the author, who is proven each time, or the client's network")
	default:
		name := in.Name
		if name == "" {
			name = "address"
		}
		entry[name], x.Value = value, name+" "+value
	}
	return config.Change{Key: "checks." + x.Check + ".entry[]", Value: entry}, x, nil
}
