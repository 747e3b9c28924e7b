package filters

import (
	"context"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/confusable"
	"gatepost/internal/links"
)

// urls looks at where the links of a message lead, and at what they say of it.
func urls() Definition {
	return Definition{
		Name: "urls", Stage: gateway.Data,
		Doc:    "Do the links of the message lead where they say? Links of its texts, pages, attachments and of codes in pictures: a text that names another host, a host that looks like one of ours or a well-known one, addresses without names, disguised hosts, content in place of a link, forms that ask for a password. Nothing is fetched.",
		RFC:    "RFC 3986, RFC 5890 section 4.4",
		Action: gateway.ActionScore, Unknown: gateway.ActionPass,
		Reasons: map[gateway.Reason]gateway.Action{gateway.URLDisguised: gateway.ActionScore, gateway.URLLookalike: gateway.ActionScore, gateway.URLOdd: gateway.ActionScore},
		Measures: []Measure{
			{"disguised", "the text of a link is the address of another organization than it leads to", 3},
			{"mentions", "the text of a link is the bare name of another organization's host", 0.5},
			{"lookalike", "a host looks like one of ours or a well-known one: letters, a slip, a hyphen, or its name in front", 3},
			{"addition", "a host is the name of ours or a well-known one with a word that promises something", 2.5},
			{"other_end", "a host is a name of ours under another end", 0.5},
			{"literal", "a link leads to an address without a name", 2},
			{"notation", "that address is written in a way that nobody writes", 3},
			{"user", "a name that looks like a host stands where a link has a user name", 3},
			{"hidden", "a host is disguised: percent-encoded, with backslashes, line ends or letters that turn into others", 2.5},
			{"mixed", "a host mixes alphabets that look alike", 3},
			{"content", "a link is a page or a file itself (data:, blob:)", 3},
			{"opens", "a link, or a picture to load, opens a file of another host or a program of the reader's machine (file:, \\\\host, search-ms:)", 3},
			{"script", "a link is a program (javascript:)", 2},
			{"password", "the message asks for a password", 3},
			{"form", "the message has a form that is sent to a host", 1},
			{"base", "a page says what its links are relative to", 0},
			{"shortener", "a short link, so that nobody sees where it leads", 0.5},
			{"qr", "a link in a code in a picture", 0.5},
			{"many", "more links than are looked at", 1},
		},
		Options: &URLsOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*URLsOptions)
			c := &urlCheck{d: d, names: d.imitated(o.Protect, o.Allow, o.WellKnown), allow: o.Allow}
			return Built{Run: c.run, Ready: d.linksReady}, nil
		},
	}
}

// URLsOptions are the options of checks.urls.
type URLsOptions struct {
	Protect   []string `toml:"protect" format:"domain" example:"bank.example" doc:"More domains that no link may look like, beside those that are served here."`
	WellKnown bool     `toml:"well_known" default:"true" doc:"Links may not look like one of about 150 names that are imitated most (docs/links.md)."`
	Allow     []string `toml:"allow" format:"domain" example:"example.net" doc:"Domains that are honest, with all below them: no look-alikes, and texts may name another host than a link to them."`
}

// imitated are the names that others imitate: ours, more of the operator's, and well-known ones.
func (d *Deps) imitated(protect, allow []string, wellKnown bool) *confusable.Names {
	c := confusable.Config{Ours: slices.Clone(protect), Allow: append(confusable.Honest(), allow...)}
	for name := range d.Policy.Domains {
		c.Ours = append(c.Ours, strings.TrimPrefix(name, "."))
	}
	slices.Sort(c.Ours)
	if wellKnown {
		c.WellKnown = confusable.WellKnown()
	}
	return confusable.New(c)
}

// urlCheck is the check.
type urlCheck struct {
	d     *Deps
	names *confusable.Names
	allow []string
}

// allows reports whether the operator lets a host be: one of those domains, or below one.
func (c *urlCheck) allows(host string) bool {
	return slices.ContainsFunc(c.allow, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
}

// maxLinksShown is how many links the evidence of a message has.
const maxLinksShown = 10

// urlWork is the work on one message.
type urlWork struct {
	*urlCheck
	l      *linked
	from   sending
	f      gateway.Finding
	worst  int // the rank of the reason that stands in f
	shown  int
	judged map[string]confusable.Match // hosts that were looked at
}

func (c *urlCheck) run(ctx context.Context, in *gateway.Input) gateway.Finding {
	l := c.d.linksIn(ctx, in)
	if len(l.Links) == 0 && l.password < 0 && l.failed == nil {
		return gateway.Passed()
	}
	w := urlWork{urlCheck: c, l: l, from: sendingOf(in.Envelope), f: gateway.Passed()}
	for i := range l.Links {
		w.link(&l.Links[i], &l.uris[i], &l.ends[i])
	}
	if l.password >= 0 {
		w.say("password", "", gateway.URLOdd, &links.Link{Part: l.password}, "asks for a password")
	} else if l.form != "" {
		w.say("form", gateway.CleanText(l.form, 100), "", nil, "")
	}
	if l.more {
		w.say("many", "", "", nil, "")
	}
	if l.failed != nil && w.f.Result == gateway.Pass { // what the rest holds is not known
		f := notUnpacked(l.failed)
		w.f.Result, w.f.Reason, w.f.Evidence = f.Result, f.Reason, append(w.f.Evidence, f.Evidence...)
	}
	return w.f
}

// say adds a measure, each once, and what it is about to the evidence.
func (w *urlWork) say(measure, text string, reason gateway.Reason, k *links.Link, why string) {
	if slices.ContainsFunc(w.f.Measures, func(m gateway.Measure) bool { return m.Name == measure }) {
		if reason == "" || w.shown >= maxLinksShown {
			return
		}
	} else {
		w.f = w.f.With(gateway.Measure{Name: measure, Value: 1, Text: text})
	}
	if reason != "" {
		rank := slices.Index([]gateway.Reason{"", gateway.URLOdd, gateway.URLDisguised, gateway.URLLookalike}, reason)
		if rank > w.worst {
			w.worst = rank
			w.f.Result, w.f.Reason, w.f.Args = gateway.Fail, reason, []string{gateway.CleanText(text, 100)}
		}
	}
	if k == nil || why == "" || w.shown >= maxLinksShown {
		return
	}
	w.shown++
	if !slices.Contains(w.f.Parts, k.Part) {
		w.f.Parts = append(w.f.Parts, k.Part)
	}
	line := w.l.place(k) + ": "
	if k.Text != "" {
		line += `"` + gateway.CleanText(k.Text, 80) + `" leads to `
	}
	w.f = w.f.Show("link", line+gateway.CleanText(k.URI, 160)+": "+why)
}

// link looks at one link: as it is written, and where it ends.
func (w *urlWork) link(k *links.Link, u, end *links.URI) {
	if k.Where == links.InBase {
		w.say("base", gateway.CleanText(k.URI, 100), "", nil, "")
		return
	}
	if u.Opens() { // a picture as well: loading it is enough
		w.say("opens", gateway.CleanText(u.Scheme, 20)+":", gateway.URLOdd, k, "it opens a file of another host, or a program")
	}
	if !followed(k.Where) {
		return
	}
	w.written(k, u)
	if !end.Web() {
		return
	}
	if end.Host != u.Host {
		w.written(k, end)
	}
	if k.Where == links.InQR {
		w.say("qr", end.Host, "", nil, "")
	}
	if links.Shortener(end.Host) {
		w.say("shortener", end.Host, "", nil, "")
	}
	w.alike(k, end.Host)
	if end.Host != u.Host {
		w.alike(k, u.Host)
	}
	if k.Where == links.InAnchor {
		switch host, sure := w.disguise(k, u, end); {
		case host == "":
		case sure:
			w.say("disguised", host+" on "+end.Host, gateway.URLDisguised, k, "the text names "+host)
		default:
			w.say("mentions", host+" on "+end.Host, "", k, "the text names "+host)
		}
	}
}

// written looks at how a link is written.
func (w *urlWork) written(k *links.Link, u *links.URI) {
	host := gateway.CleanText(u.Host, 100)
	for _, odd := range [...]struct {
		odd     links.Odd
		measure string
	}{{links.OddNotation, "notation"}, {links.OddUser, "user"}, {links.OddBreak | links.OddPercent | links.OddLetters, "hidden"}, {links.OddMixed, "mixed"}} {
		if found := u.Odd & odd.odd; found != 0 {
			w.say(odd.measure, host, gateway.URLOdd, k, found.String())
		}
	}
	switch {
	case u.Odd&links.OddSlashes != 0 && strings.Contains(k.URI[:min(len(k.URI), 9)], `\`):
		w.say("hidden", host, gateway.URLOdd, k, links.OddSlashes.String())
	case u.Web() && u.Addr.IsValid() && u.Odd&links.OddPrivate == 0:
		w.say("literal", host, gateway.URLOdd, k, "an address without a name")
	case u.Scheme == "data", u.Scheme == "blob":
		w.say("content", u.Scheme+":", gateway.URLOdd, k, "the link is a page or a file itself")
	case (u.Scheme == "javascript" || u.Scheme == "vbscript") && len(u.Path) > idleScript:
		w.say("script", u.Scheme+":", gateway.URLOdd, k, "the link is a program")
	}
}

// idleScript is the length of "void(0);return false;" and the like, which newsletters write where no link should be.
const idleScript = 24

// alike looks at what a host looks like.
func (w *urlWork) alike(k *links.Link, host string) {
	m, ok := w.judged[host]
	if !ok {
		m, _ = w.names.Look(host)
		if w.judged == nil {
			w.judged = map[string]confusable.Match{}
		}
		w.judged[host] = m
	}
	text := links.Unicode(host)
	if text != host {
		text += " (" + host + ")"
	}
	why := text + " for " + m.Domain
	switch m.Kind {
	case "":
	case confusable.OtherEnd:
		w.say("other_end", why, "", nil, "")
	case confusable.Addition:
		w.say("addition", why, gateway.URLLookalike, k, "can be taken for "+m.Domain)
	default:
		w.say("lookalike", why, gateway.URLLookalike, k, "can be taken for "+m.Domain+", by "+string(m.Kind))
	}
}
