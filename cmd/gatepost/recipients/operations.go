package recipients

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/directory"
	"gatepost/internal/routing"
)

// Desk answers what is asked of recipients.
type Desk struct {
	// Now is what is in force; Cache is what next hops are remembered to have said.
	Now   func() InForce
	Cache func() *recipients.Cache
	// Told tells the journal what a person did.
	Told func(...slog.Attr)
}

// InForce is what of the policy in force says which recipients exist.
type InForce struct {
	Policy      *gateway.Policy
	Recipients  *recipients.Recipients
	Directories []*directory.Directory
}

// Shown is what gatepost recipients show tells.
type Shown struct {
	Address    string             `json:"address,omitempty"` // that was asked for
	Route      string             `json:"route,omitempty"`   // of its mail; "" where we serve none
	To         []string           `json:"to,omitempty"`      // who gets its mail instead
	Looks      []recipients.Look  `json:"directories,omitempty"`
	Asks       bool               `json:"next_hop_asked"`
	Remembered []recipients.Entry `json:"remembered"`
	More       bool               `json:"more"`
}

// Sources is what gatepost recipients directories tells.
type Sources struct {
	Directories []directory.Status  `json:"directories"`
	Canaries    []recipients.Canary `json:"canaries"`
}

// Bounds of what a person can ask.
const (
	shown        = 100
	AtMost       = 100_000
	importAtOnce = 5000
)

func showQuestion() control.Operation {
	return control.Look("recipients show", "/recipients", "Show who knows a recipient, and what next hops said of it", access.SendersRead)
}

func sourcesQuestion() control.Operation {
	return control.Look("recipients directories", "/recipients/directories", "Show the directories of recipients, and what the word of each next hop is worth", access.SystemRead)
}

func forgetQuestion() control.Operation {
	return control.Do("recipients forget", "/recipients/forget", "Have the next hop asked again for a recipient, or for all of a route", access.SendersChange)
}

func importQuestion() control.Operation {
	return control.Do("recipients import", "/recipients/import", "Have recipients known for 24 hours, as if their next hop had said so", access.SendersChange)
}

func syncQuestion() control.Operation {
	return control.Do("recipients sync", "/recipients/sync", "Read directories of recipients now", access.SystemChange)
}

// Operations are those of recipients.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(showQuestion(), d.show),
		control.Define(sourcesQuestion(), d.sources),
		control.Define(forgetQuestion(), d.forget),
		control.Define(importQuestion(), d.importing),
		control.Define(syncQuestion(), d.sync),
	}
}

// show answers gatepost recipients show.
func (d *Desk) show(ctx context.Context, in *api.RcptAsk) (*Shown, error) {
	actor := access.Of(ctx)
	if !actor.Everywhere() && (in.Address == "" || !actor.SeesAny(in.Address)) {
		return nil, &control.Fault{Status: http.StatusForbidden, Message: "address: name one of your domains", Field: "address"}
	}
	out := &Shown{Address: in.Address, Remembered: []recipients.Entry{}}
	now := d.Now()
	if out.Address != "" {
		to, err := routing.Address(out.Address)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: strconv.Quote(out.Address) + " is no address", Hint: "write it whole, as info@example.org"}
		}
		way := now.Policy.Destination(to)
		out.Route, out.To = way.Route, gateway.Texts(way.To)
		if out.Route != "" && way.To == nil {
			out.Looks, out.Asks = now.Recipients.LookUp(out.Route, to)
		}
	}
	list, more := d.Cache().Remembered(out.Address, in.Limit)
	out.Remembered, out.More = append(out.Remembered, list...), more
	return out, nil
}

// forget answers gatepost recipients forget.
func (d *Desk) forget(ctx context.Context, in *api.RcptForget) (*api.RcptChanged, error) {
	route, address := in.Route, in.Address
	if (route == "") == (address == "") {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "neither an address nor a route, or both"}
	}
	out := &api.RcptChanged{Changed: d.Cache().Forget(route, address)}
	control.Changed(ctx, control.Change{Object: address + route, After: out})
	d.Told(slog.String("did", "forget"), slog.String("address", gateway.CleanText(address, 320)), slog.String("route", gateway.CleanText(route, 64)), slog.Int("api.RcptChanged", out.Changed))
	return out, nil
}

// importing answers gatepost recipients import: each address is known to the route that its mail takes.
func (d *Desk) importing(ctx context.Context, in *api.RcptImport) (*api.RcptChanged, error) {
	list := in.Addresses
	if len(list) > importAtOnce {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("no list of at most %d addresses", importAtOnce)}
	}
	policy, out := d.Now().Policy, &api.RcptChanged{}
	control.Changed(ctx, control.Change{Object: "recipients", After: map[string]any{"of": len(list)}})
	for _, text := range list {
		to, err := routing.Address(text)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: strconv.Quote(gateway.CleanText(text, 320)) + " is no address"}
		}
		if way := policy.Destination(to); way.Route != "" && way.To == nil {
			d.Cache().Import(way.Route, to)
			out.Changed++
		}
	}
	d.Told(slog.String("did", "import"), slog.Int("api.RcptChanged", out.Changed), slog.Int("of", len(list)))
	return out, nil
}

// sources answers gatepost recipients directories.
func (d *Desk) sources(context.Context, *struct{}) (*Sources, error) {
	now := d.Now()
	out := &Sources{Directories: []directory.Status{}, Canaries: now.Recipients.Canaries()}
	for _, x := range now.Directories {
		out.Directories = append(out.Directories, x.Status())
	}
	return out, nil
}

// sync answers gatepost recipients sync: it reads one directory, or all, and waits for it as long as a verb may take.
func (d *Desk) sync(ctx context.Context, in *api.RcptSync) (*Sources, error) {
	name, force := in.Name, in.Force
	control.Changed(ctx, control.Change{Object: "directory " + gateway.CleanText(name, 64)})
	var chosen []*directory.Directory
	for _, x := range d.Now().Directories {
		if name == "" || strings.EqualFold(x.Name(), name) {
			chosen = append(chosen, x)
		}
	}
	if len(chosen) == 0 {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "there is no such directory in the policy", Hint: "gatepost recipients directories lists them"}
	}
	d.Told(slog.String("did", "sync"), slog.String("directory", gateway.CleanText(name, 64)), slog.Bool("force", force))
	done := make(chan error, len(chosen))
	for _, x := range chosen {
		// A reading that takes longer than a verb may goes on without it.
		go func() { done <- x.Sync(context.WithoutCancel(ctx), force) }()
	}
	for range chosen {
		select {
		case <-done: // its status tells
		case <-ctx.Done():
			return nil, &control.Fault{Status: http.StatusGatewayTimeout, Message: "it is still being read", Hint: "gatepost recipients directories tells when it is done"}
		}
	}
	out := &Sources{Directories: []directory.Status{}}
	for _, x := range chosen {
		out.Directories = append(out.Directories, x.Status())
	}
	return out, nil
}
