package network

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"gatepost/appliance/network"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

func showQuestion() control.Operation {
	return control.Look("appliance network", "/appliance/network", "Show how the network of the appliance is set up, and by which place", access.SystemRead)
}

func setQuestion() control.Operation {
	return control.Do("appliance network set", "/appliance/network", "Set up the network of the appliance in place of what an operator said before; interfaces that change are on trial until they are confirmed", access.ApplianceChange)
}

func confirmQuestion() control.Operation {
	return control.Do("appliance network confirm", "/appliance/network/confirm", "Keep the settings of the network that are on trial", access.ApplianceChange)
}

func nameQuestion() control.Operation {
	return control.Do("appliance name", "/appliance/name", "Give the appliance a host name; the gateway restarts under it", access.ApplianceChange)
}

// Desk is what the operations work with.
type Desk struct {
	Socket string // of the helper; see network.Socket
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{
		control.Define(showQuestion(), d.show),
		control.Define(setQuestion(), func(ctx context.Context, in *api.NetworkSet) (*api.Network, error) {
			return d.ask(ctx, network.Question{Do: network.DoSet, Text: in.Settings, Within: in.Within})
		}),
		control.Define(confirmQuestion(), func(ctx context.Context, _ *struct{}) (*api.Network, error) {
			return d.ask(ctx, network.Question{Do: network.DoConfirm})
		}),
		control.Define(nameQuestion(), func(ctx context.Context, in *api.NetworkName) (*api.Network, error) {
			return d.ask(ctx, network.Question{Do: network.DoName, Text: in.Hostname})
		}),
	}
}

func (d *Desk) show(ctx context.Context, _ *struct{}) (*api.Network, error) {
	f, err := network.Ask(ctx, d.Socket, network.Question{Do: network.DoStatus})
	if errors.Is(err, network.NoAppliance) {
		return &api.Network{None: err.Error(), Ports: []api.NetworkPort{}, Interfaces: []api.NetworkInterface{}}, nil
	}
	if err != nil {
		return nil, refused(err)
	}
	return told(f)
}

// refused is what the helper did not do, in its words: they have nothing that an owner may not know.
func refused(err error) error {
	return &control.Fault{Status: http.StatusConflict, Message: err.Error()}
}

// ask has the helper change something.
func (d *Desk) ask(ctx context.Context, q network.Question) (*api.Network, error) {
	change := control.Change{Object: "network"}
	if before, err := network.Ask(ctx, d.Socket, network.Question{Do: network.DoStatus}); err == nil {
		change.Before = before.Settings
	}
	f, err := network.Ask(ctx, d.Socket, q)
	if err == nil {
		change.After = f.Settings
	}
	control.Changed(ctx, change)
	if err != nil {
		return nil, refused(err)
	}
	return told(f)
}

func told(f *network.Found) (*api.Network, error) {
	text, err := f.Settings.Text()
	if err != nil {
		return nil, err
	}
	out := &api.Network{Hostname: f.Settings.Hostname, DNS: f.Settings.DNS, NTP: f.Settings.NTP, Ports: []api.NetworkPort{}, Interfaces: []api.NetworkInterface{}, Settings: string(text), From: f.From, Trouble: f.Trouble, Saved: f.Saved}
	for _, p := range f.Ports {
		out.Ports = append(out.Ports, api.NetworkPort{Name: p.Name, MAC: p.MAC, Up: p.Up, Addresses: append([]netip.Prefix{}, p.Addresses...)})
	}
	for i := range f.Settings.Interfaces {
		out.Interfaces = append(out.Interfaces, shown(&f.Settings.Interfaces[i]))
	}
	if !f.Until.IsZero() {
		out.Until = &f.Until
	}
	return out, nil
}

func shown(n *network.Interface) api.NetworkInterface {
	x := api.NetworkInterface{Name: n.Name, MAC: n.MAC, DHCP: n.DHCP, RefuseRA: n.RefuseRA, Addresses: n.Addresses, MTU: n.MTU}
	for _, r := range n.Routes {
		x.Routes = append(x.Routes, api.NetworkRoute{To: r.To, Via: r.Via, OnLink: r.OnLink})
	}
	return x
}
