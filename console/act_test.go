package console

import (
	"html"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

// TestMenuOf shows what of a message a list can be about: senders are blocked, authors allowed, a client is one by itself or with its
// network, and what is no address is none.
func TestMenuOf(t *testing.T) {
	for _, x := range []struct {
		client, from, headerFrom string
		want                     []string
	}{
		{"192.0.2.7", "List@Example.org", "", []string{"author sender list@example.org", "author sender @example.org", "client client 192.0.2.7", "client client 192.0.2.0/24"}},
		{"2001:db8::7", "a@bulk.test", "Anna <anna@shop.test>", []string{" sender a@bulk.test", " sender @bulk.test", "author  anna@shop.test", "author  @shop.test", "client client 2001:db8::7", "client client 2001:db8::/64"}},
		{"::ffff:192.0.2.7", "", "", []string{"client client 192.0.2.7", "client client 192.0.2.0/24"}},
		{"192.0.2.7", "", "anna@shop.test", []string{"author  anna@shop.test", "author  @shop.test", "client client 192.0.2.7", "client client 192.0.2.0/24"}},
		{"127.0.0.1", "a\u202eb@example.org", "two, addresses <", nil},
		{"127.0.0.1", "\"a b\"@example.org", "", nil},
		{"127.0.0.1", "a@[192.0.2.1]", "", nil},
	} {
		m := menuOf(true, "x", 7, netip.MustParseAddr(x.client), x.from, x.headerFrom)
		var got []string
		if m != nil {
			for _, a := range m.On {
				got = append(got, a.Allow+" "+a.Block+" "+a.Value)
			}
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%v: %q, want %q", x, got, x.want)
		}
	}
	if menuOf(false, "x", 7, netip.MustParseAddr("192.0.2.7"), "", "") != nil {
		t.Error("somebody who may not is offered a menu")
	}
}

// TestActOn goes from a row, and from the drawer, to a form that is filled in, and from there to an entry of the draft.
func TestActOn(t *testing.T) {
	s, _ := policySite(t)
	e := refused(5, "one@served.test")
	s.log.events = []*gateway.Event{e}
	ref := e.Record.ID.String()
	link := regexp.MustCompile(`<a href="(/lists\?action=block[^"]*0%2F24[^"#]*)#adder">Block <bdi>192.0.2.0/24</bdi>`)
	for _, path := range []string{"/log", "/log/m/" + ref} {
		page := s.ask("anna", "GET", path, nil)
		has(t, page, 200, `popovertarget="act-`+ref+`"`, "Allow <bdi>list@example.org</bdi>…", "Block <bdi>@example.org</bdi>…")
		to := link.FindStringSubmatch(page.Body.String())
		if to == nil {
			t.Fatalf("%s leads to no form", path)
		}
		form := s.ask("anna", "GET", html.UnescapeString(to[1]), nil)
		has(t, form, 200, `name="f:network" value="192.0.2.0/24"`, "<option selected>block", `value="message `+ref+`"`, `name="f:owner" value="anna"`, `class="adder" id="adder" open>`)
		if b := form.Body.String(); strings.Index(b, "Client networks") > strings.Index(b, "Allowed authors") || strings.Count(b, "adder\" open>") != 1 {
			t.Errorf("%s: the list is not the first, or not the only one that is open", path)
		}
	}
	has(t, s.ask("anna", "GET", "/log/m/"+ref, nil), 200, `popovertarget="do-`+ref+`"`)
	has(t, s.ask("anna", "GET", "/lists?action=allow&kind=author&value=%40example.org", nil), 200, `name="f:address" value="@example.org"`, `!value="message `)
	has(t, s.ask("anna", "GET", "/lists?action=block&kind=sender&value=%3Cscript%3E%22%00", nil), 200, `value="&lt;script&gt;&#34;"`, "!<script>")
	for _, query := range []string{"action=burn&kind=sender&value=a.test", "action=block&kind=author&value=a.test", "action=block&kind=host&value=a.test", "action=block&kind=sender", "action=block&kind=sender&value=" + strings.Repeat("a", 400)} {
		has(t, s.ask("anna", "GET", "/lists?"+query, nil), 200, `!id="adder" open`)
	}
	has(t, s.ask("helper", "GET", "/log", nil), 200, "list@", "!popovertarget")
}
