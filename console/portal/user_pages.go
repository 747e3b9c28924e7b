package portal

import (
	"bytes"
	"html/template"
	"net/http"
)

// userWords are those of the pages of users, in one language.
type userWords struct {
	Lang, Title, Intro, Address, Send, Asked, Enter, EnterButton, NoAddress, NoLink string
	Mine, Leave, From, Author, Arrived, Why, Release, Released, AskAdmin, Busy      string
	Empty, End, Older, Newest, Failed, Subject                                      string
	Lists, Allowed, Blocked, AllowHint, BlockHint, Sender, Allow, Block, Remove     string
	None, Saved, BadSender, SharedSender, Full, ListsAway                           string
	For                                                                             string
	link                                                                            linkWords
	Out                                                                             outsideWords
}

// Link are the words about linked addresses.
func (w *userWords) Link() *linkWords { return &w.link }

func userWordsOf(language string) *userWords {
	if language == "de" {
		return &userWords{Lang: "de", Title: "Ihre Quarantäne", Intro: "Hier sehen Sie Nachrichten an Sie, die zurückgehalten wurden. Geben Sie Ihre Adresse an: Sie erhalten einen Link.",
			Address: "E-Mail-Adresse", Send: "Link senden", Asked: "Gibt es dieses Postfach hier, ist ein Link dorthin unterwegs. Er gilt 15 Minuten.",
			Enter: "Anmelden als", EnterButton: "Anmelden", NoAddress: "Das ist keine E-Mail-Adresse.", NoLink: "Dieser Link wurde schon benutzt oder ist abgelaufen. Lassen Sie sich einen neuen senden.",
			Mine: "Zurückgehalten für", Leave: "Abmelden", From: "Absender (Umschlag)", Author: "Absender (angezeigt)", Arrived: "Datum", Why: "Grund", Subject: "Betreff",
			Release: "Zustellen", Released: "zugestellt", AskAdmin: "nur Ihr Administrator kann sie freigeben", Busy: "in Arbeit",
			Empty: "Für Sie wird nichts zurückgehalten.", End: "Mehr ist nicht da.", Older: "Ältere", Newest: "Neueste",
			Lists: "Ihre Listen", Allowed: "Erwünschte Absender", Blocked: "Unerwünschte Absender", Sender: "Adresse oder @domain", Allow: "Zulassen", Block: "Sperren", Remove: "Entfernen",
			AllowHint: "Sie zählen nur, wenn bewiesen ist, dass die Nachricht wirklich von dort kommt, und nie für Schadprogramme, Anhänge und Fälschungen.",
			BlockHint: "Ihre Nachrichten an Sie werden abgewiesen.", None: "Keine.", Saved: "Gespeichert.", BadSender: "Das ist keine Adresse und keine Domain.",
			SharedSender: "Von dort kann jeder schreiben: Nennen Sie eine einzelne Adresse.", Full: "Die Liste ist voll.", ListsAway: "Ihre Listen können gerade nicht gelesen oder geändert werden. Was eingetragen ist, gilt weiter.",
			Failed: "Die Quarantäne kann gerade nicht gelesen werden. Es geht nichts verloren; versuchen Sie es später noch einmal.",
			For:    "An", link: linkWordsOf("de"), Out: outsideWordsOf("de")}
	}
	return &userWords{Lang: "en", Title: "Your quarantine", Intro: "Here you see messages to you that were held back. Enter your address: a link will be sent to it.",
		Address: "Mail address", Send: "Send a link", Asked: "If there is such a mailbox here, a link is on its way to it. It can be used for 15 minutes.",
		Enter: "Log in as", EnterButton: "Log in", NoAddress: "This is no mail address.", NoLink: "This link was used before, or has expired. Ask for a new one.",
		Mine: "Held back for", Leave: "Log out", From: "From (envelope)", Author: "From (shown)", Arrived: "Date", Why: "Reason", Subject: "Subject",
		Release: "Deliver it", Released: "delivered", AskAdmin: "only your administrator can release it", Busy: "in progress",
		Empty: "Nothing is held back for you.", End: "There is no more.", Older: "Older", Newest: "Newest",
		Lists: "Your lists", Allowed: "Senders you want", Blocked: "Senders you do not want", Sender: "Address or @domain", Allow: "Allow", Block: "Block", Remove: "Remove",
		AllowHint: "They count only where it is proven that a message is really from there, and never for malware, attachments and forgeries.",
		BlockHint: "Their messages to you are refused.", None: "None.", Saved: "Saved.", BadSender: "This is no address and no domain.",
		SharedSender: "Everybody can write from there: name a single address.", Full: "The list is full.", ListsAway: "Your lists cannot be read or changed now. What is in them still counts.",
		Failed: "The quarantine cannot be read now. Nothing is lost; try again later.",
		For:    "To", link: linkWordsOf("en"), Out: outsideWordsOf("en")}
}

// userTemplates are the pages. html/template escapes by context; what strangers wrote has its own direction.
const userTemplates = `
{{define "head"}}<!DOCTYPE html>
<html lang="{{.W.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.W.Title}}</title><style>{{.Style}}</style></head><body>
{{end}}
{{define "login"}}{{template "head" .}}<main><h1>{{.W.Title}}</h1>
{{with .Body.Said}}<p role="alert"><strong>{{.}}</strong></p>{{end}}
<p>{{.W.Intro}}</p>
<form method="post" action="/login"><p><label for="address">{{.W.Address}}</label><br><input id="address" name="address" type="email" autocomplete="email" maxlength="320" required></p><p><button type="submit">{{.W.Send}}</button></p></form>
{{if .Body.Directory}}<h2>{{.W.Out.Directory}}</h2>
<form method="post" action="/login/password"><p><label for="name">{{.W.Out.Name}}</label><br><input id="name" name="name" autocomplete="username" maxlength="256" value="{{.Body.Name}}" required></p><p><label for="password">{{.W.Out.Password}}</label><br><input id="password" name="password" type="password" autocomplete="current-password" maxlength="256" required></p><p><button type="submit">{{.W.EnterButton}}</button></p></form>{{end}}
{{with .Body.Issuer}}<h2>{{.}}</h2><p><a href="/issuer">{{$.W.Out.Issuer}} {{.}}</a></p>{{end}}
</main></body></html>
{{end}}
{{define "arrived"}}{{template "head" .}}<main><h1>{{.W.Title}}</h1><p role="status">{{.W.Out.Arrived}}</p><p><a href="/mine">{{.W.Out.Go}}</a></p></main></body></html>
{{end}}
{{define "asked"}}{{template "head" .}}<main><h1>{{.W.Title}}</h1><p role="status">{{.W.Asked}}</p></main></body></html>
{{end}}
{{define "enter"}}{{template "head" .}}<main><h1>{{.W.Title}}</h1>
<p>{{.W.Enter}} <bdi>{{.Body.Address}}</bdi></p>
<form method="post" action="/session"><input type="hidden" name="link" value="{{.Body.Link}}"><button type="submit">{{.W.EnterButton}}</button></form>
</main></body></html>
{{end}}
{{define "part"}}{{if .Body.Part}}<p role="alert"><strong>{{.W.Link.Part}}</strong></p>
{{end}}{{end}}
{{define "mine"}}{{template "head" .}}{{$w := .W}}{{$many := gt (len .Body.Addresses) 1}}<main><h1>{{.W.Title}}</h1>
<form method="post" action="/logout"><p>{{.W.Mine}} {{range $i, $a := .Body.Addresses}}{{if $i}}, {{end}}<bdi>{{$a}}</bdi>{{end}} <button type="submit">{{.W.Leave}}</button></p></form>
<nav><p><a href="/lists">{{.W.Lists}}</a> <a href="/addresses">{{.W.Link.Title}}</a></p></nav>
{{template "part" .}}{{with .Body.Said}}<p role="status"><strong>{{.}}</strong></p>{{end}}
{{if .Body.Failed}}<p role="alert"><strong>{{.W.Failed}}</strong></p>{{else if .Body.Items}}{{range .Body.Items}}<section aria-label="{{.Reference}}"><h2><bdi>{{if .Subject}}{{.Subject}}{{else}}{{.Reference}}{{end}}</bdi></h2>
<table>{{if $many}}<tr><th scope="row">{{$w.For}}</th><td><bdi>{{.For}}</bdi></td></tr>{{end}}<tr><th scope="row">{{$w.Arrived}}</th><td>{{.Arrived}}</td></tr><tr><th scope="row">{{$w.From}}</th><td><bdi>{{.From}}</bdi></td></tr><tr><th scope="row">{{$w.Author}}</th><td><bdi>{{.Author}}</bdi></td></tr><tr><th scope="row">{{$w.Why}}</th><td>{{.Why}}</td></tr></table>
{{if eq .State 1}}<form method="post" action="/mine/release"><input type="hidden" name="reference" value="{{.Reference}}"><input type="hidden" name="for" value="{{.For}}"><button type="submit">{{$w.Release}}</button></form>{{else}}<p>{{.Reference}}: {{if eq .State 2}}{{$w.Released}}{{else if eq .State 6}}{{$w.Busy}}{{else}}{{$w.AskAdmin}}{{end}}</p>{{end}}</section>
{{end}}{{else if .Body.Later}}<p>{{.W.End}}</p>{{else}}<p>{{.W.Empty}}</p>{{end}}
{{if or .Body.Later .Body.Next}}<nav><p>{{if .Body.Later}}<a href="/mine">{{.W.Newest}}</a> {{end}}{{with .Body.Next}}<a href="/mine?before={{.}}">{{$w.Older}}</a>{{end}}</p></nav>{{end}}
</main></body></html>
{{end}}
{{define "entries"}}{{$w := .W}}{{$kind := .Kind}}{{$for := .For}}{{$many := gt (len .Addresses) 1}}{{if .Entries}}<ul>{{range .Entries}}<li><form method="post" action="/lists/remove"><bdi>{{.Sender}}</bdi>{{if $many}} ({{$w.For}} <bdi>{{.For}}</bdi>){{end}} <input type="hidden" name="kind" value="{{$kind}}"><input type="hidden" name="sender" value="{{.Sender}}"><input type="hidden" name="for" value="{{.For}}"><button type="submit" aria-label="{{$w.Remove}} {{.Sender}}{{if $many}} ({{$w.For}} {{.For}}){{end}}">{{$w.Remove}}</button></form></li>{{end}}</ul>{{else}}<p>{{.W.None}}</p>{{end}}
<form method="post" action="/lists/add"><input type="hidden" name="kind" value="{{.Kind}}"><p><label for="{{.Kind}}">{{.W.Sender}}</label><br><input id="{{.Kind}}" name="sender" maxlength="320" value="{{.Typed}}" required></p>{{if $many}}<p><label for="{{.Kind}}-for">{{.W.For}}</label><br><select id="{{.Kind}}-for" name="for">{{range .Addresses}}<option{{if eq . $for}} selected{{end}}>{{.}}</option>{{end}}</select></p>{{end}}<p><button type="submit">{{.Button}}</button></p></form>{{end}}
{{define "lists"}}{{template "head" .}}<main><h1>{{.W.Lists}}</h1>
<nav><p><a href="/mine">{{.W.Title}}</a></p></nav>
{{template "part" .}}{{with .Body.Said}}<p role="status"><strong>{{.}}</strong></p>{{end}}
{{if .Body.Away}}<p role="alert"><strong>{{.W.ListsAway}}</strong></p>{{else}}
<h2>{{.W.Allowed}}</h2><p>{{.W.AllowHint}}</p>{{template "entries" .Body.Allow}}
<h2>{{.W.Blocked}}</h2><p>{{.W.BlockHint}}</p>{{template "entries" .Body.Block}}{{end}}
</main></body></html>
{{end}}`

// pages parses the templates; they are ours, so that a fault is one of the build.
func pages() *template.Template {
	return template.Must(template.New("portal").Parse(userTemplates + linkTemplates))
}

// page answers with one of the pages.
func (v *visit) page(status int, name string, body any) {
	var b bytes.Buffer
	err := v.pages.ExecuteTemplate(&b, name, map[string]any{"W": v.words, "Style": template.CSS(style), "Body": body})
	if err != nil {
		http.Error(v.w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes())
}
