package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// The steps of the first run behind the first owner's sign-in, as the address of the page has them.
const (
	stepHost   = "host"
	stepServer = "server"
	stepDNS    = "dns"
	stepLive   = "live"
)

// maxBegun is how many domains of a draft have their records shown.
const maxBegun = 10

// beginPages are those of the first run. They are there while no domain is served: until then no mail is accepted. All that is typed
// stands in the draft of whoever does it, so that it is there after a reload, and on the page of the policy as well.
func (c *Console) beginPages(mux *http.ServeMux) {
	c.page(mux, "GET /begin", access.PolicyPublish, c.begun(c.beginPage))
	c.restorePages(mux)
	c.page(mux, "POST /begin/host", access.SystemChange, c.begun(c.beginHost))
	c.page(mux, "POST /begin/server", access.PolicyPublish, c.begun(c.beginServer))
	c.page(mux, "POST /begin/live", access.PolicyPublish, c.begun(c.beginLive))
}

// setUp reports whether mail is accepted for some domain: the first run is over.
func (c *Console) setUp() bool { return c.Served == nil || c.Served() }

// begun shows nothing of the first run once it is over.
func (c *Console) begun(show http.HandlerFunc) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.setUp() {
			c.nowhere(w, r)
			return
		}
		show(w, r)
	}
}

// beginBody is what each step shows.
type beginBody struct {
	*policies
	Step    string
	Host    string
	Doctor  *api.DoctorLook // of the name of the host; nil where nothing can be told
	Form    *serverForm
	Records []*api.DomainRecords
	Checked *api.Checked
	Machine *api.Network // where this is an appliance, whose name can be set here; nil elsewhere
}

// beginStep is a step, for the list of them.
type beginStep struct {
	Title, Path string
	Done, Now   bool
}

// Steps are all steps, those before the one that is shown done.
func (b *beginBody) Steps() []beginStep {
	out := []beginStep{{"Administrator", "", true, false}, {"Host name", stepHost, false, false}, {"Your mail server", stepServer, false, false}, {"DNS", stepDNS, false, false}, {"Go live", stepLive, false, false}}
	for i := range out {
		if out[i].Path == b.Step {
			out[i].Now = true
			break
		}
		out[i].Done = true
	}
	return out
}

// Served are the domains of the draft.
func (b *beginBody) Served() (out []string) {
	if b.text == nil {
		return nil
	}
	for i := range b.text.Domains {
		out = append(out, b.text.Domains[i].Name)
	}
	return out[:min(len(out), maxBegun)]
}

func (c *Console) beginPage(w http.ResponseWriter, r *http.Request) {
	b, err := c.beginBody(r, r.URL.Query().Get("step"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.showBegin(w, r, b, nil)
}

// beginBody gathers what a step shows. Where none is named it is the first that is not done.
func (c *Console) beginBody(r *http.Request, step string) (*beginBody, error) {
	p, err := c.policies(r)
	if err != nil {
		return nil, err
	}
	b := &beginBody{policies: p, Step: step, Form: serverFormOf(r, p, "/begin/server", "Next: DNS")}
	if c.Frame != nil {
		b.Host = c.Options.Frame().Host
	}
	switch domains := b.Served(); {
	case step == stepHost || step == stepServer:
	case (step == stepDNS || step == stepLive) && len(domains) > 0:
	case len(domains) > 0:
		b.Step = stepDNS
	default:
		b.Step = stepHost
	}
	if r.Method == http.MethodGet {
		b.Form.fill(p)
	}
	switch b.Step {
	case stepHost:
		b.Doctor, b.Machine = c.lookOf(r, "host."), c.network(r)
	case stepDNS:
		b.Records = c.recordsOf(r, b.Served())
	case stepLive:
		b.Checked, err = ask[*api.Checked](c, r, "policy check", url.Values{"text": {p.Draft.Text}})
	}
	return b, err
}

// recordsOf are the records of domains, of those that can be told. All are asked for at once: DNS that does not answer takes as long as one.
func (c *Console) recordsOf(r *http.Request, domains []string) []*api.DomainRecords {
	out := make([]*api.DomainRecords, len(domains))
	var all sync.WaitGroup
	for i, d := range domains {
		all.Go(func() {
			if x, err := ask[*api.DomainRecords](c, r, "domain records", url.Values{"domain": {strings.TrimPrefix(d, "*.")}}); err == nil {
				out[i] = x
			}
		})
	}
	all.Wait()
	return slices.DeleteFunc(out, func(x *api.DomainRecords) bool { return x == nil })
}

// fill shows what the draft says of its first domain.
func (f *serverForm) fill(p *policies) {
	if p.text == nil || len(p.text.Domains) == 0 {
		return
	}
	d := &p.text.Domains[0]
	f.Domain = d.Name
	for i := range p.text.Routes {
		r := &p.text.Routes[i]
		if r.Name != d.Route || len(r.NextHops) == 0 {
			continue
		}
		h := &r.NextHops[0]
		f.Recipients = cmp.Or(wayOf(d.Recipients, d.Directories), wayOf(r.Recipients, r.Directories))
		f.Ways = waysOf(p.text, f.Recipients)
		f.Host, f.TLS, f.ServerName, f.Pins, f.Port = h.Host, string(r.TLS), r.ServerName, strings.Join(r.Fingerprints, ", "), strconv.Itoa(h.Port)
		switch {
		case h.MX != "":
			f.Host = "mx:" + h.MX
		case h.SRV != "":
			f.Host = "srv:" + h.SRV
		}
	}
}

// lookOf are those lines of the doctor's last look whose names begin so; nil where nobody can be asked.
func (c *Console) lookOf(r *http.Request, ids ...string) *api.DoctorLook {
	actor := access.Of(r.Context())
	if !c.offers("doctor last") || !actor.May(access.SystemRead) {
		return nil
	}
	look, err := ask[*api.DoctorLook](c, r, "doctor last", nil)
	if err != nil {
		return nil
	}
	out := *look
	out.Lines = nil
	for _, l := range look.Lines {
		if slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(l.ID, id) }) {
			out.Lines = append(out.Lines, l)
		}
	}
	rank := map[string]int{"fail": 1, "warn": 2, "unknown": 3, "ok": 4}
	slices.SortStableFunc(out.Lines, func(a, b api.DoctorLine) int { return cmp.Compare(rank[a.Verdict], rank[b.Verdict]) })
	out.Lines = out.Lines[:min(len(out.Lines), maxListed)]
	return &out
}

func (c *Console) showBegin(w http.ResponseWriter, r *http.Request, b *beginBody, wrong error) {
	title := "Set up: " + map[string]string{stepHost: "host name", stepServer: "your mail server", stepDNS: "DNS", stepLive: "go live"}[b.Step]
	if wrong != nil {
		c.again(w, r, "begin", title, b, wrong)
		return
	}
	c.show(w, r, http.StatusOK, "begin", title, b)
}

// beginHost has the doctor look at the name of this host.
func (c *Console) beginHost(w http.ResponseWriter, r *http.Request) {
	_, err := ask[*api.DoctorLook](c, r, "doctor run", url.Values{"only": {"host"}})
	if f := fault(err); err != nil && (f == nil || f.Status != http.StatusConflict) { // one that is under way is as good
		c.failed(w, r, err)
		return
	}
	http.Redirect(w, r, "/begin?step="+stepHost, http.StatusSeeOther)
}

// beginServer tries the server, and saves it in the draft where it takes mail.
func (c *Console) beginServer(w http.ResponseWriter, r *http.Request) {
	b, err := c.beginBody(r, stepServer)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if b.Form.Tested, err = c.tryServer(r, b.Form); err != nil {
		c.showBegin(w, r, b, err)
		return
	}
	if r.PostFormValue("do") != "save" {
		c.showBegin(w, r, b, nil)
		return
	}
	if b.Form.Tested.Verdict == api.RouteFail {
		c.showBegin(w, r, b, errTried())
		return
	}
	if err := c.saveServer(r, b.Form, b.policies); err != nil {
		c.showBegin(w, r, b, err)
		return
	}
	http.Redirect(w, r, "/begin?step="+stepDNS, http.StatusSeeOther)
}

// beginLive publishes the draft: from then on mail is accepted.
func (c *Console) beginLive(w http.ResponseWriter, r *http.Request) {
	b, err := c.beginBody(r, stepLive)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	if b.Step != stepLive || r.PostFormValue("seq") != b.Draft.ETag() {
		c.showBegin(w, r, b, &control.Fault{Status: http.StatusPreconditionFailed, Message: "your draft was changed meanwhile: look at it again"})
		return
	}
	fields := url.Values{"text": {b.Draft.Text}, "comment": {"first run"}, "confirm": {"0"}, "If-Match": {r.PostFormValue(etagField)}}
	if _, err := ask[*api.Published](c, r, "policy apply", fields); err != nil {
		c.showBegin(w, r, b, err)
		return
	}
	_, _ = ask[*api.Draft](c, r, "policy discard", nil) // it says what is in force now
	c.done(w, r, "/", "The gateway is live: it accepts mail for "+strings.Join(b.Served(), ", ")+".")
}
