package console

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// networkTrial is how long other addresses are tried by the form.
const networkTrial = 3 * time.Minute

// networkPages are those of the network of the appliance.
func (c *Console) networkPages(mux *http.ServeMux) {
	c.page(mux, "GET /appliance/network", access.SystemRead, c.networkPage)
	c.page(mux, "POST /appliance/network", access.ApplianceChange, c.networkSet)
	c.page(mux, "POST /appliance/network/confirm", access.ApplianceChange, c.networkConfirm)
	c.page(mux, "POST /appliance/name", access.ApplianceChange, c.applianceName)
}

// networkBody is what the page shows: how it is, and the form for one interface with what was typed.
type networkBody struct {
	*api.Network
	Port, Method, Addresses, Routers, Resolvers, Clocks string
}

// Minutes is how long a trial takes.
func (*networkBody) Minutes() int { return int(networkTrial / time.Minute) }

func (c *Console) networkPage(w http.ResponseWriter, r *http.Request) {
	b, err := c.networkBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "network", "Network", b)
}

// networkBody asks how it is, and fills the form with it.
func (c *Console) networkBody(r *http.Request) (*networkBody, error) {
	n, err := ask[*api.Network](c, r, "appliance network", nil)
	if err != nil {
		return nil, err
	}
	b := &networkBody{Network: n, Port: r.FormValue("port"), Method: "dhcp", Resolvers: spaced(n.DNS), Clocks: strings.Join(n.NTP, " ")}
	if i := slices.IndexFunc(n.Ports, func(p api.NetworkPort) bool { return b.Port == "" || p.Name == b.Port }); i >= 0 {
		b.Port = n.Ports[i].Name
		for j := range n.Interfaces {
			if x := &n.Interfaces[j]; meant(x, &n.Ports[i]) {
				b.fill(x)
				break
			}
		}
	}
	return b, nil
}

// fill shows an interface in the form.
func (b *networkBody) fill(x *api.NetworkInterface) {
	if x.DHCP == "" || x.DHCP == "no" {
		b.Method = "static"
	}
	b.Addresses = spaced(x.Addresses)
	var out []netip.Addr
	for _, route := range x.Routes {
		if route.To.Bits() == 0 {
			out = append(out, route.Via)
		}
	}
	b.Routers = spaced(out)
}

// spaced writes a list with spaces between its items.
func spaced[T interface{ String() string }](list []T) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = x.String()
	}
	return strings.Join(out, " ")
}

// meant reports whether settings are for an interface of the machine.
func meant(x *api.NetworkInterface, p *api.NetworkPort) bool {
	if x.MAC != "" {
		return strings.EqualFold(x.MAC, p.MAC)
	}
	is, err := path.Match(x.Name, p.Name)
	return x.Name == "" || is && err == nil
}

// networkSet changes one interface, and whom the machine asks for names and for the time. All else stays as it is.
func (c *Console) networkSet(w http.ResponseWriter, r *http.Request) {
	b, err := c.networkBody(r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	form := r.PostForm
	b.Method, b.Addresses, b.Routers, b.Resolvers, b.Clocks = form.Get("method"), form.Get("addresses"), form.Get("routers"), form.Get("resolvers"), form.Get("clocks")
	text, err := b.settings()
	var got *api.Network
	if err == nil {
		got, err = ask[*api.Network](c, r, "appliance network set", url.Values{"settings": {text}, "within": {networkTrial.String()}})
	}
	switch {
	case err != nil:
		c.again(w, r, "network", "Network", b, err)
	case got.Until != nil:
		c.done(w, r, "/appliance/network", "The new addresses are on trial: open this page by one of them and keep them, or they are taken back.")
	default:
		c.done(w, r, "/appliance/network", "The settings are saved.")
	}
}

// settings are those of the form, in the form of docs/appliance.md, of which JSON is a part.
func (b *networkBody) settings() (string, error) {
	i := slices.IndexFunc(b.Ports, func(p api.NetworkPort) bool { return p.Name == b.Port })
	if i < 0 {
		return "", &control.Fault{Status: http.StatusUnprocessableEntity, Field: "port", Message: "there is no such interface"}
	}
	all := []any{}
	was := api.NetworkInterface{Name: b.Port}
	var others []api.NetworkInterface
	for _, x := range slices.Backward(b.Interfaces) {
		if meant(&x, &b.Ports[i]) {
			was.MTU, was.RefuseRA, was.Routes = x.MTU, x.RefuseRA, x.Routes
			continue
		}
		others = append(others, x)
	}
	one := map[string]any{"name": b.Port, "refuse_ra": was.RefuseRA}
	if was.MTU > 0 {
		one["mtu"] = was.MTU
	}
	if b.Method == "static" {
		routes := []any{}
		for _, via := range typedWords(b.Routers) {
			routes = append(routes, map[string]string{"to": "default", "via": via})
		}
		for _, x := range was.Routes {
			if x.To.Bits() > 0 {
				routes = append(routes, x)
			}
		}
		one["addresses"], one["routes"] = typedWords(b.Addresses), routes
		if len(typedWords(b.Addresses)) == 0 {
			return "", &control.Fault{Status: http.StatusUnprocessableEntity, Field: "addresses", Message: "an address is needed", Hint: "write one with the length of its network, as 192.0.2.7/24"}
		}
	} else {
		one["dhcp"] = "yes"
	}
	all = append(all, one)
	for _, x := range slices.Backward(others) {
		all = append(all, x)
	}
	out := map[string]any{"interfaces": all, "dns": typedWords(b.Resolvers), "ntp": typedWords(b.Clocks)}
	if b.From["hostname"] == "operator" {
		out["hostname"] = b.Hostname
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// typedWords are words that people wrote, with spaces or commas between them.
func typedWords(text string) []string {
	return strings.FieldsFunc(cutText(text, 2000), func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r < ' ' })
}

func (c *Console) networkConfirm(w http.ResponseWriter, r *http.Request) {
	if _, err := ask[*api.Network](c, r, "appliance network confirm", nil); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/appliance/network", "The settings are kept.")
}

// applianceName names the machine, by its own page or in the first run.
func (c *Console) applianceName(w http.ResponseWriter, r *http.Request) {
	got, err := ask[*api.Network](c, r, "appliance name", url.Values{"hostname": {strings.TrimSpace(r.PostFormValue("hostname"))}})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, back(r, "/appliance/network"), "The name is "+got.Hostname+". The gateway restarts under it: open this page again in half a minute.")
}

// network is how the network is where this is an appliance; nil elsewhere, and where he may not know.
func (c *Console) network(r *http.Request) *api.Network {
	if actor := access.Of(r.Context()); !c.offers("appliance network") || !actor.May(access.SystemRead) {
		return nil
	}
	n, err := ask[*api.Network](c, r, "appliance network", nil)
	if err != nil || n.None != "" {
		return nil
	}
	return n
}
