package policy

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/audit"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store/admin"
	"gatepost/internal/versions"
)

// inForce is a daemon with one document.
type inForce string

func (f inForce) Prepare(context.Context, int64, []byte) (versions.Prepared, config.Problems, error) {
	return nil, nil, context.Canceled // nothing is published here
}
func (f inForce) File() []byte          { return []byte(f) }
func (f inForce) Guard() versions.Guard { return versions.Guard{} }

// TestDraftAudited: the audit log says of each change of a draft what was and what is, key by key, and no secret; of what was refused,
// that it was.
func TestDraftAudited(t *testing.T) {
	db, err := admin.Open(t.Context(), admin.Options{Path: filepath.Join(t.TempDir(), "admin.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := inForce("# ours\n[thresholds]\nreject = 15\n[[rbl.own]]\nname = \"plain\"\nzone = \"{key}.plain.example\"\nkey = \"list-key\"\nrule = [{ answer = \"127.0.0.2\", label = \"spam trap\", weight = 10 }]\n")
	store := admin.NewVersions(db)
	keeper := versions.New(versions.Options{Store: store, Target: now, Dir: t.TempDir()})
	var last audit.Entry
	s := &control.Surface{Audit: func(_ context.Context, e control.Entry) { last = audit.Of(e) }, Operations: Operations(func() *Desk {
		return &Desk{Keeper: keeper, Store: store, Target: now, Sections: func() config.Sections { return config.Sections{} }, Log: slog.New(slog.DiscardHandler),
			Source: func() string { return "policy.toml" }}
	})}
	seq := ""
	anna := access.Actor{Name: "anna", Role: access.Owner}
	for _, c := range []struct {
		what, before, after string
		operation           string
		in                  any
		refused             bool
	}{
		{"a key", `{"thresholds.reject":["15"]}`, `{"thresholds.reject":["12"]}`, "policy edit", &Edit{Set: []string{"thresholds.reject=12"}}, false},
		{"an element, and a key gone", `{"thresholds.reject":["12"]}`, `{"domain[served.test].name":["\"served.test\""],"domain[served.test].route":["\"in\""]}`, "policy edit", &Edit{Set: []string{`domain[]={ name = "served.test", route = "in" }`}, Remove: []string{"thresholds.reject"}}, false},
		{"a secret", "", "", "policy edit", &Edit{Set: []string{`rbl.own[plain].key="other-key"`}}, false},
		{"what is no key", "", "", "policy edit", &Edit{Set: []string{`rbl.own[none].key="other-key"`}}, true},
		{"the whole text", `{"domain[served.test].name":["\"served.test\""],"domain[served.test].route":["\"in\""]}`, `{"mode":["\"observe\""]}`, "policy save", &Text{Text: "mode = \"observe\"\n" + strings.Replace(string(now), "reject = 15\n", "", 1)}, false},
		{"all of it forgotten", `{"mode":["\"observe\""]}`, `{"thresholds.reject":["15"]}`, "policy discard", &None{}, false},
		{"what is no document", "", "", "policy save", &Text{Text: "nonsense = [other-key"}, false},
	} {
		last = audit.Entry{}
		if text, ok := c.in.(*Text); ok {
			text.Match = seq
		}
		d, err := controltest.Ask[*api.Draft](t.Context(), s, anna, c.operation, c.in)
		if err == nil {
			seq = d.ETag()
		}
		if (err != nil) != c.refused || (last.Error != "") != c.refused {
			t.Errorf("%s: %v; %+v", c.what, err, last)
		}
		if last.Before != c.before || last.After != c.after {
			t.Errorf("%s: before %s, after %s", c.what, last.Before, last.After)
		}
		if !c.refused && last.Object != "policy draft of anna" {
			t.Errorf("%s: %+v", c.what, last)
		}
		for _, text := range []string{last.Asked, last.Before, last.After, last.Error} {
			if strings.Contains(text, "-key") {
				t.Errorf("%s: a secret is told: %+v", c.what, last)
			}
		}
	}
}
