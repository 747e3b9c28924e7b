package console

import (
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/access"
)

// actOn is something of a message that a list can be about: "@" and a domain, an address of mail, or one of a client, or a network.
type actOn struct {
	Value        string
	Allow, Block string // as what the form of lists knows it: author, sender, client; "" where there is no list for it
	From         gateway.ID
}

// Href leads to the form of an entry, filled in.
func (a actOn) Href(action, kind string) string {
	return "/lists?" + url.Values{"action": {action}, "kind": {kind}, "value": {a.Value}, "from": {a.From.String()}}.Encode() + "#adder"
}

// actMenu is what can be done about a message from where it is seen.
type actMenu struct {
	ID   string // of the menu, in its page
	What string // for those who do not see where it stands
	On   []actOn
}

// menuOf is that of a message; nil where nothing can be listed, or for whoever may not.
func menuOf(may bool, id string, ref gateway.ID, client netip.Addr, from, headerFrom string) *actMenu {
	if !may {
		return nil
	}
	m := &actMenu{ID: id, What: ref.String()}
	add := func(value, allow, block string) { m.On = append(m.On, actOn{value, allow, block, ref}) }
	sender, author := listable(from), listable(from)
	if headerFrom != "" {
		author = ""
		if a, err := mail.ParseAddress(headerFrom); err == nil {
			author = listable(a.Address)
		}
	}
	// Senders are blocked by their envelope, and authors allowed, since these are proven (DMARC).
	asSender, asAuthor := "", "author"
	if sender == author {
		asSender, asAuthor = "author", ""
	}
	if sender != "" {
		add(sender, asSender, "sender")
		add(sender[strings.LastIndexByte(sender, '@'):], asSender, "sender")
	}
	if author != "" && asAuthor != "" {
		add(author, asAuthor, "")
		add(author[strings.LastIndexByte(author, '@'):], asAuthor, "")
	}
	if a := client.Unmap().WithZone(""); a.IsValid() && !a.IsLoopback() {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		add(a.String(), "client", "client")
		add(netip.PrefixFrom(a, bits).Masked().String(), "client", "client")
	}
	if m.On == nil {
		return nil
	}
	return m
}

// listable is an address as lists take it; "" for what is none.
func listable(address string) string {
	local, domain, ok := cutLast(address)
	plain := !strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c == '"' || c == '<' || c == '>' || c == 0x7f || hidden(c) })
	if !ok || local == "" || domain == "" || domain[0] == '[' || len(address) > 254 || !plain {
		return ""
	}
	return strings.ToLower(address)
}

func cutLast(address string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return "", "", false
	}
	return address[:i], address[i+1:], true
}

// mayAct reports whether whoever asks may list what he sees in the log.
func (c *Console) mayAct(r *http.Request) bool {
	actor := access.Of(r.Context())
	return actor.May(access.PolicyDraft) && actor.May(access.PolicyRead) && c.offers("policy edit")
}
