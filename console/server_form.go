package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// serverForm is a domain and the server behind it, as a form has them.
type serverForm struct {
	Domain, Host, Port, TLS, ServerName, Pins string
	Recipients                                string // who tells whether they exist, as wayOf writes it
	Ways                                      []pair // of Recipients, that can be chosen
	Action                                    string // where the form is sent
	Next                                      string // the button that saves it
	Tested                                    *api.RouteTested
}

// TLSModes are the words of tls of a route, as people read them.
func (f *serverForm) TLSModes() []pair {
	return []pair{{"required", "Required, and the name is checked"}, {"fingerprint", "Required, one certificate only"}, {"opportunistic", "If it is offered"}, {"dane", "As its TLSA records say"}, {"none", "None"}}
}

// newServerForm is the form of a draft before anything is typed.
func newServerForm(p *policies, action, next string) *serverForm {
	return &serverForm{Action: action, Next: next, Port: "25", TLS: "opportunistic", Recipients: config.RecipientsCallAhead, Ways: waysOf(p.text, "")}
}

func serverFormOf(r *http.Request, p *policies, action, next string) *serverForm {
	f := newServerForm(p, action, next)
	if r.Method != http.MethodPost {
		return f
	}
	v, blank := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }, *f
	f.Domain, f.Host, f.Port, f.TLS, f.ServerName, f.Pins = strings.ToLower(v("domain")), v("host"), v("port"), v("tls"), v("server_name"), v("fingerprints")
	f.Port, f.TLS, f.Recipients = cmp.Or(f.Port, blank.Port), cmp.Or(f.TLS, blank.TLS), cmp.Or(v("recipients"), blank.Recipients)
	return f
}

// server is a server as route test takes one: its own name, or an address, with a port.
func (f *serverForm) fields() url.Values {
	return values("host", f.Host, "port", f.Port, "tls", f.TLS, "server_name", f.ServerName, "fingerprints", f.Pins, "domain", f.Domain)
}

// check finds what the form lacks.
func (f *serverForm) check() error {
	for _, x := range [...]pair{{"domain", f.Domain}, {"host", f.Host}} {
		if x.Value == "" {
			return &control.Fault{Status: http.StatusBadRequest, Field: x.Name, Message: map[string]string{"domain": "the domain is needed", "host": "the server is needed"}[x.Name]}
		}
	}
	if n, err := strconv.Atoi(f.Port); err != nil || n < 1 || n > 65535 {
		return &control.Fault{Status: http.StatusBadRequest, Field: "port", Message: "the port is a number from 1 to 65535"}
	}
	return nil
}

// tryServer tries the server of a form. An error is of the form, or of the gateway.
func (c *Console) tryServer(r *http.Request, f *serverForm) (*api.RouteTested, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return ask[*api.RouteTested](c, r, "route test", f.fields())
}

// errTried says that a server does not take mail: it is not saved.
func errTried() error {
	return &control.Fault{Status: http.StatusUnprocessableEntity, Message: "the server was tried and does not take mail: nothing was saved", Hint: "what to do stands at the step that failed"}
}

// saveServer saves what a form says in the draft, where the draft can be published then. The error of a draft that another changed
// meanwhile is a fault.
func (c *Console) saveServer(r *http.Request, f *serverForm, p *policies) error {
	fields := f.edit(p)
	if wrong := c.tried(p.Draft.Text, fields["set"], fields["remove"]); wrong != nil {
		return notSaved(wrong)
	}
	if len(fields["remove"]) == 0 {
		delete(fields, "remove")
	}
	if tag := r.PostFormValue(etagField); tag != "" {
		fields.Set("If-Match", tag)
	}
	_, err := ask[*api.Draft](c, r, "policy edit", fields)
	return err
}

// fault is an error as a page tells it; nil where it is none that whoever asks can do something about.
func fault(err error) *control.Fault {
	f, _ := errors.AsType[*control.Fault](err)
	return f
}

// stepWord is what a step of a try of a route is about.
func stepWord(step string) string {
	if w, ok := map[string]string{"find": "Find the server:", "policy": "What its domain publishes:", "connect": "Connect", "banner": "It greets:", "ehlo": "EHLO:", "tls": "Encryption:", "certificate": "Certificate:", "login": "Log in", "size": "Size:",
		"takes": "Takes", "refuses": "Refuses who cannot exist:"}[step]; ok {
		return w
	}
	return step
}

// domainTest tries the way of a domain or of a route of the draft.
func (c *Console) domainTest(w http.ResponseWriter, r *http.Request) {
	page := listPageOf(r)
	b, err := c.listsBody(r, page)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	b.Form = newServerForm(b.policies, b.Form.Action, b.Form.Next) // it was not sent
	fields := with(posted(r, "domain", "route"), "draft", "true")
	b.Tested, err = ask[*api.RouteTested](c, r, "route test", fields)
	c.sendLists(w, r, page, b, err)
}

// domainServer tries the server of a new domain, and saves both in the draft where it takes mail: with warnings too, with errors not.
func (c *Console) domainServer(w http.ResponseWriter, r *http.Request) {
	page := listPageOf(r)
	b, err := c.listsBody(r, page)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	b.Form.Tested, err = c.tryServer(r, b.Form)
	if err == nil && r.PostFormValue("do") == "save" {
		if err = errTried(); b.Form.Tested.Verdict != api.RouteFail {
			err = c.saveServer(r, b.Form, b.policies)
		}
		if err == nil {
			text := b.Form.Domain + " was saved in the draft. Nothing is in force until it is published."
			if b.Form.Tested.Verdict == api.RouteWarn {
				text = b.Form.Domain + " was saved in the draft. Its server takes mail, with warnings: test it to see them."
			}
			c.done(w, r, "/domains", text)
			return
		}
	}
	c.sendLists(w, r, page, b, err)
}
