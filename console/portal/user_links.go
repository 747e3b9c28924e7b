package portal

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// Links are the further addresses that users see as their own.
type Links interface {
	// Of returns the further addresses of a user, and who else sees his own, sorted.
	Of(ctx context.Context, address string) (further, seenBy []string, fault Fault)
	// Ask mails to a further address a link by which a user proves that he reads it. It does not wait for the mail, and says nothing
	// of whether there is such a mailbox.
	Ask(ctx context.Context, user, address string) Fault
	// May says who asked for which address by a link, without using it.
	May(ctx context.Context, link string) (user, address string, ok bool)
	// Prove adds the address of a link to those of a user, once: the one who asked for it.
	Prove(ctx context.Context, user, link string) Fault
	// End takes away an address from those of an owner. Who ends it is one of the two.
	End(ctx context.Context, by, owner, address string) Fault
}

// linkWords are those about linked addresses, in one language.
type linkWords struct {
	Title, Intro, Further, Add, Send, SeenBy, SeenHint, End, Part    string
	Prove, To, ProveHint, ProveButton, LogIn, Asked, Made, Ended     string
	BadAddress, Already, TooMany, Often, BadLink, Away, None, Nobody string
}

func linkWordsOf(language string) linkWords {
	if language == "de" {
		return linkWords{Title: "Ihre Adressen", Intro: "Haben Sie hier weitere Adressen, etwa einen Alias oder ein Sammelpostfach, sehen Sie auch, was für diese zurückgehalten wird, und führen ihre Listen.",
			Further: "Weitere Adressen", Add: "Weitere Adresse", Send: "Link senden", SeenBy: "Wer sieht, was für Sie zurückgehalten wird", SeenHint: "Sie können das jederzeit beenden.", End: "Beenden",
			Part: "Ihre weiteren Adressen können gerade nicht gelesen werden: Hier steht nur, was für Ihre eigene zurückgehalten wird.", Prove: "Verknüpfen:", To: "mit",
			ProveHint: "Nur wer beide Adressen hat, darf das. Beide erhalten eine Nachricht darüber.", ProveButton: "Verknüpfen", LogIn: "Melden Sie sich zuerst in diesem Browser als diese Adresse an, und öffnen Sie dann den Link noch einmal:",
			Asked: "Gibt es dieses Postfach hier, ist ein Link dorthin unterwegs. Öffnen Sie ihn in diesem Browser, binnen 60 Minuten.", Made: "Die Adresse ist verknüpft.", Ended: "Die Verknüpfung ist beendet.",
			BadAddress: "Das ist keine Adresse, für die hier Post angenommen wird.", Already: "Diese Adresse haben Sie schon.", TooMany: "Mehr Verknüpfungen sind nicht möglich.", Often: "Sie haben zu viele Links verlangt. Versuchen Sie es in einer Stunde noch einmal.",
			BadLink: "Dieser Link wurde schon benutzt oder ist abgelaufen.", Away: "Verknüpfungen können gerade nicht gelesen oder geändert werden. Versuchen Sie es später noch einmal.", None: "Keine.", Nobody: "Niemand sonst."}
	}
	return linkWords{Title: "Your addresses", Intro: "If you have further addresses here, such as an alias or a shared mailbox, you also see what is held back for them, and keep their lists.",
		Further: "Further addresses", Add: "Further address", Send: "Send a link", SeenBy: "Who sees what is held back for you", SeenHint: "You can end that at any time.", End: "End it",
		Part: "Your further addresses cannot be read now: here is only what is held back for your own.", Prove: "Link", To: "to",
		ProveHint: "Only who has both addresses may do that. Both get a message about it.", ProveButton: "Link", LogIn: "First log in in this browser with this address, and then open the link again:",
		Asked: "If there is such a mailbox here, a link is on its way to it. Open it in this browser, within 60 minutes.", Made: "The address is linked.", Ended: "The link is ended.",
		BadAddress: "This is no address that mail is taken for here.", Already: "You have this address already.", TooMany: "No more links are possible.", Often: "You asked for too many links. Try again in an hour.",
		BadLink: "This link was used before, or has expired.", Away: "Links cannot be read or changed now. Try again later.", None: "None.", Nobody: "Nobody else."}
}

const linkTemplates = `
{{define "addresses"}}{{template "head" .}}{{$w := .W.Link}}{{$me := .Body.Me}}<main><h1>{{$w.Title}}</h1>
<nav><p><a href="/mine">{{.W.Title}}</a></p></nav>
{{with .Body.Said}}<p role="status"><strong>{{.}}</strong></p>{{end}}
{{if .Body.Away}}<p role="alert"><strong>{{$w.Away}}</strong></p>{{else}}<p><bdi>{{$me}}</bdi></p>
<h2>{{$w.Further}}</h2><p>{{$w.Intro}}</p>
{{if .Body.Further}}<ul>{{range .Body.Further}}<li><form method="post" action="/addresses/end"><bdi>{{.}}</bdi> <input type="hidden" name="owner" value="{{$me}}"><input type="hidden" name="address" value="{{.}}"><button type="submit" aria-label="{{$w.End}}: {{.}}">{{$w.End}}</button></form></li>{{end}}</ul>{{else}}<p>{{$w.None}}</p>{{end}}
<form method="post" action="/addresses/add"><p><label for="address">{{$w.Add}}</label><br><input id="address" name="address" type="email" maxlength="320" value="{{.Body.Typed}}" required></p><p><button type="submit">{{$w.Send}}</button></p></form>
<h2>{{$w.SeenBy}}</h2>
{{if .Body.SeenBy}}<p>{{$w.SeenHint}}</p><ul>{{range .Body.SeenBy}}<li><form method="post" action="/addresses/end"><bdi>{{.}}</bdi> <input type="hidden" name="owner" value="{{.}}"><input type="hidden" name="address" value="{{$me}}"><button type="submit" aria-label="{{$w.End}}: {{.}}">{{$w.End}}</button></form></li>{{end}}</ul>{{else}}<p>{{$w.Nobody}}</p>{{end}}{{end}}
</main></body></html>
{{end}}
{{define "prove"}}{{template "head" .}}{{$w := .W.Link}}<main><h1>{{$w.Title}}</h1>
{{if .Body.Owner}}{{if .Body.LogIn}}<p role="alert"><strong>{{$w.LogIn}}</strong> <bdi>{{.Body.Owner}}</bdi></p>{{end}}
<p>{{$w.Prove}} <bdi>{{.Body.Address}}</bdi> {{$w.To}} <bdi>{{.Body.Owner}}</bdi></p><p>{{$w.ProveHint}}</p>
<form method="post" action="/addresses/link"><input type="hidden" name="link" value="{{.Body.Link}}"><button type="submit">{{$w.ProveButton}}</button></form>{{else}}<p role="alert"><strong>{{$w.BadLink}}</strong></p>{{end}}
<nav><p><a href="/">{{.W.Title}}</a></p></nav>
</main></body></html>
{{end}}`

// linkPages adds those of linked addresses.
func (p *Portal) linkPages(mux *http.ServeMux, pages *template.Template) {
	mux.HandleFunc("GET /addresses", p.opened(pages, loggedIn(p.ownAddresses)))
	mux.HandleFunc("POST /addresses/add", p.opened(pages, loggedIn(p.addAddress)))
	mux.HandleFunc("POST /addresses/end", p.opened(pages, loggedIn(p.endAddress)))
	mux.HandleFunc("GET /link/{link}", p.opened(pages, p.proof))
	mux.HandleFunc("POST /addresses/link", p.opened(pages, p.prove))
}

// addresses are those of who is logged in, his own first; whole is false where the further ones are not known now.
func (p *Portal) addresses(v *visit) (all []string, whole bool) {
	all = append([]string{v.address}, v.proved...)
	links := p.Users.Links()
	if links == nil {
		return all, false
	}
	further, _, fault := links.Of(v.r.Context(), v.address)
	for _, a := range further {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all, fault == Fine
}

// chosen is the address that a form is about: the user's own where it names none. mine is false for one that is not his, be it that
// his are not all known now.
func (p *Portal) chosen(v *visit) (address string, mine, known bool) {
	address = v.field("for")
	if address == "" || strings.EqualFold(address, v.address) {
		return v.address, true, true
	}
	all, whole := p.addresses(v)
	return address, slices.Contains(all, address), whole
}

// linksPage is what the page of a user's addresses shows.
type linksPage struct {
	Me, Said, Typed string
	Away            bool
	Further, SeenBy []string
}

func (p *Portal) ownAddresses(v *visit) {
	w := v.words.Link()
	p.showAddresses(v, http.StatusOK, map[string]string{"asked": w.Asked, "made": w.Made, "ended": w.Ended}[v.r.URL.RawQuery], "")
}

func (p *Portal) showAddresses(v *visit, status int, said, typed string) {
	page := linksPage{Me: v.address, Said: said, Typed: typed}
	fault := Away
	if links := p.Users.Links(); links != nil {
		page.Further, page.SeenBy, fault = links.Of(v.r.Context(), v.address)
	}
	if fault != Fine {
		page.Away, page.Said, status = true, "", http.StatusServiceUnavailable
	}
	v.page(status, "addresses", page)
}

// answerLink shows what came of a change of links.
func (p *Portal) answerLink(v *visit, fault Fault, done, typed string) {
	w := v.words.Link()
	switch fault {
	case Fine:
		v.to("/addresses?" + done)
	case Away:
		p.showAddresses(v, http.StatusServiceUnavailable, w.Away, typed)
	case Often:
		p.showAddresses(v, http.StatusTooManyRequests, w.Often, typed)
	default:
		say := map[Fault]string{BadAddress: w.BadAddress, Already: w.Already, Full: w.TooMany, BadLink: w.BadLink}[fault]
		p.showAddresses(v, http.StatusUnprocessableEntity, say, typed)
	}
}

// withLinks does something with links, where there are any to be had.
func (p *Portal) withLinks(do func(l Links) Fault) Fault {
	if links := p.Users.Links(); links != nil {
		return do(links)
	}
	return Away
}

func (p *Portal) addAddress(v *visit) {
	address := v.field("address")
	p.answerLink(v, p.withLinks(func(l Links) Fault { return l.Ask(v.r.Context(), v.address, address) }), "asked", address)
}

// endAddress ends a link of which who is logged in is one side.
func (p *Portal) endAddress(v *visit) {
	owner, address := v.field("owner"), v.field("address")
	if !strings.EqualFold(owner, v.address) && !strings.EqualFold(address, v.address) {
		http.Error(v.w, "not a form of ours", http.StatusBadRequest)
		return
	}
	p.answerLink(v, p.withLinks(func(l Links) Fault { return l.End(v.r.Context(), v.address, owner, address) }), "ended", "")
}

// proof shows a button and does nothing. Who comes from a page of another site, as webmail is, has no session here: browsers send
// it with the button only, which says whether he is the one who asked.
func (p *Portal) proof(v *visit) {
	p.showProof(v, http.StatusOK, v.r.PathValue("link"), false)
}

func (p *Portal) showProof(v *visit, status int, link string, logIn bool) {
	body := map[string]any{"Link": link, "LogIn": logIn, "Owner": "", "Address": ""}
	if links := p.Users.Links(); links != nil && len(link) <= maxToken {
		if owner, address, ok := links.May(v.r.Context(), link); ok {
			body["Owner"], body["Address"] = owner, address
		}
	}
	if body["Owner"] == "" {
		status = http.StatusNotFound
	}
	v.page(status, "prove", body)
}

func (p *Portal) prove(v *visit) {
	link := v.field("link")
	if v.address == "" {
		p.showProof(v, http.StatusForbidden, link, true)
		return
	}
	fault := p.withLinks(func(l Links) Fault { return l.Prove(v.r.Context(), v.address, link) })
	if fault == NotYours {
		p.showProof(v, http.StatusForbidden, link, true)
		return
	}
	p.answerLink(v, fault, "made", "")
}
