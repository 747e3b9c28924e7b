package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/links"
	"gatepost/internal/mime"
	"gatepost/internal/unpack"
)

// factLinks is the name of the fact that linksIn computes.
const factLinks = "links"

// linked are the links of a message, and what its pages ask for.
type linked struct {
	Links    []links.Link
	uris     []links.URI // of each link, as a browser reads it
	ends     []links.URI // and where it ends, behind rewriting services
	more     bool        // there are more than are looked at
	password int         // the part whose page asks for a password; -1 for none
	form     string      // where the first form of a page that is shown is sent
	tree     *mime.Tree
	failed   error // why nobody could look into the attachments, or into a text
}

// linksIn finds the links of a message, once: of its texts and pages, and of what is in its attachments. It is never nil.
func (d *Deps) linksIn(ctx context.Context, in *gateway.Input) *linked {
	if in.Envelope == nil {
		return &linked{password: -1}
	}
	l := gateway.Fact(&in.Envelope.Facts, factLinks, func() *linked {
		var o opened
		if d.Unpack != nil {
			o = d.unpacked(ctx, in)
		}
		return findLinks(tree(in), o)
	})
	if l == nil { // a panic
		return &linked{password: -1}
	}
	return l
}

// linksReady reports whether linksIn waits for nobody.
func (d *Deps) linksReady(in *gateway.Input) bool {
	return gateway.Known(&in.Envelope.Facts, factLinks) || d.Unpack == nil || unpackedReady(in)
}

func findLinks(t *mime.Tree, o opened) *linked {
	out := &linked{password: -1, tree: t, failed: o.err}
	if t == nil {
		return out
	}
	var list links.List
	for i := range t.Parts {
		p := &t.Parts[i]
		if !p.Leaf {
			continue
		}
		var page links.Page
		err := t.Text(i, func(text []byte) {
			switch {
			case len(text) == 0:
			case isPage(p):
				page = list.HTML(i, string(text))
			default:
				list.Octets(i, text)
			}
		})
		if err != nil { // what it holds is not known
			out.failed = err
			continue
		}
		if p.Disposition == "attachment" { // what it does is looked at where attachments are
			continue
		}
		if page.Password && out.password < 0 {
			out.password = i
		}
		if u := links.Read(page.Form); out.form == "" && u.Web() {
			out.form = page.Form
		}
	}
	if o.report != nil {
		for i := range o.report.Objects {
			object := &o.report.Objects[i]
			for _, k := range object.Links {
				list.Add(unpackedLink(object.Part, &k))
			}
		}
	}
	out.take(&list)
	return out
}

// unpackedLink is a link of an attachment. The text of a code may be a name without a scheme, which telephones follow as well.
func unpackedLink(part int, k *unpack.Link) links.Link {
	uri := k.URI
	if k.Where == string(links.InQR) && !strings.Contains(uri, "://") && links.BareHost(uri) {
		uri = "http://" + uri
	}
	return links.Link{URI: uri, Text: gateway.CleanText(k.Text, 200), Where: links.Where(k.Where), Part: part}
}

// isPage reports whether clients show a part as HTML.
func isPage(p *mime.Part) bool {
	switch p.Type {
	case "text/html", "text/xhtml", "application/xhtml+xml", "text/x-amp-html":
		return true
	}
	return false
}

// take reads the links of a list.
func (l *linked) take(list *links.List) {
	l.Links, l.more = list.Links, list.More
	l.uris = make([]links.URI, len(l.Links))
	l.ends = make([]links.URI, len(l.Links))
	for i := range l.Links {
		l.uris[i] = links.Read(l.Links[i].URI)
		l.ends[i] = links.Unwrap(l.uris[i])
	}
}

// followed reports whether somebody is meant to follow a link: it is no picture of a page.
func followed(w links.Where) bool { return w != links.InResource && w != links.InBase }

// place names the part that a link stands in, for people.
func (l *linked) place(k *links.Link) string {
	where := ""
	if l.tree != nil && k.Part >= 0 && k.Part < len(l.tree.Parts) {
		p := &l.tree.Parts[k.Part]
		if where = "part " + p.Path; p.Path == "" {
			where = "the text"
		}
		if name := p.Name(); name != "" {
			where += " (" + gateway.CleanText(name, 60) + ")"
		}
	}
	switch k.Where {
	case links.InQR:
		return where + ", code in a picture"
	case links.InForm:
		return where + ", form"
	case links.InRefresh:
		return where + ", goes there by itself"
	}
	return where
}
