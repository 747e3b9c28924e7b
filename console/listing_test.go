package console

import (
	"context"
	"net/url"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// TestListing shows that a page of an operation's own JSON keeps the order of its fields, escapes what strangers wrote, cuts what is too
// much, and gives each row its button for whoever may press it.
func TestListing(t *testing.T) {
	s := newSite(t)
	type waiting struct {
		Key   string    `json:"key"`
		Who   string    `json:"sent_by"`
		Tries int       `json:"tries"`
		Since time.Time `json:"since"`
		Over  bool      `json:"over"`
		More  []string  `json:"more"`
	}
	type list struct {
		Asked   string    `json:"asked"`
		Waiting []waiting `json:"waiting"`
	}
	rows, got := []waiting{{"k1", "<i>evil</i>\u202e", 12345, time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC), true, []string{"a", "b"}}}, ""
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(control.Operation{Name: "greylist list", Method: "GET", Path: "/greylist", Doc: "List", Right: access.SendersRead}, func(context.Context, *struct {
			Limit int `json:"limit" doc:"How many"`
		}) (*list, error) {
			return &list{Asked: "now", Waiting: rows}, nil
		}),
		control.Define(control.Operation{Name: "greylist release", Method: "POST", Path: "/greylist/release", Doc: "Release", Right: access.SendersChange}, func(_ context.Context, in *struct {
			Key string `json:"key" doc:"Which"`
		}) (int, error) {
			got = in.Key
			return 1, nil
		}))
	has(t, s.ask("anna", "GET", "/greylist", nil), 200, "&lt;i&gt;evil&lt;/i&gt;⟨U&#43;202E⟩", "12,345", "a, b", ">yes<", "2026-11-27T08:00:00Z", `name="key" value="k1"`, "Let it pass", "sent by</th><th scope=\"col\">tries", "asked")
	has(t, s.ask("helper", "GET", "/greylist", nil), 200, "evil", "!Let it pass")
	if w := s.ask("anna", "POST", "/greylist/release", formOf("anna", "key", "k1")); w.Code != 303 || got != "k1" {
		t.Errorf("%d, released %q", w.Code, got)
	}
	has(t, s.ask("helper", "POST", "/greylist/release", url.Values{formField: {formToken("session-helper")}, "key": {"k1"}}), 403)
	rows = nil
	has(t, s.ask("anna", "GET", "/greylist", nil), 200, "asked", "Nobody waits.")
	for range maxListed + 5 {
		rows = append(rows, waiting{Who: "x"})
	}
	has(t, s.ask("anna", "GET", "/greylist", nil), 200, "the first 1,000")
	has(t, s.ask("anna", "GET", "/tls", nil), 200, "Nothing to show")
	has(t, newSite(t).ask("anna", "GET", "/greylist", nil), 404)
}
