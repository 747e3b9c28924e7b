package quarantine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store"
)

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

func address(text string) gateway.Address {
	local, domain, _ := strings.Cut(text, "@")
	return gateway.Address{Text: text, Local: local, Domain: domain}
}

// world is a quarantine that delivers nothing, with its operations.
type world struct {
	*control.Surface
	vault *quarantine.Vault
	ids   *gateway.IDs
	rcpts map[gateway.ID][]string
	told  []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	keys, err := quarantine.LoadKeys(filepath.Join(dir, "keys", "vault.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	index, err := store.OpenQuarantine(t.Context(), filepath.Join(dir, "quarantine.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	w := &world{ids: new(gateway.IDs), rcpts: map[gateway.ID][]string{}}
	w.vault, err = quarantine.Open(quarantine.Options{Dir: filepath.Join(dir, "vault"), Keys: keys, Index: index, Reserve: 1, ReserveInodes: 1, Hostname: "mx.example.org", IDs: w.ids,
		NextHop: func() gateway.NextHop { return nil },
		Way: func(to gateway.Address) ([]gateway.Address, string, error) { // each copy fails, and says whose it was
			return nil, "", fmt.Errorf("no way for %s", to.Text)
		}})
	if err != nil {
		t.Fatal(err)
	}
	w.Surface = &control.Surface{Operations: (&Desk{Vault: func() (*quarantine.Vault, error) { return w.vault, nil },
		Digests: func(_ context.Context, rcpt string, send bool) ([]digest.Told, error) {
			return []digest.Told{{Rcpt: rcpt}}, nil
		},
		Told: func(did, key, by string) { w.told = append(w.told, did+" "+by) },
		Address: func(text string) (gateway.Address, error) {
			if strings.Count(text, "@") != 1 {
				return gateway.Address{}, errors.New("no address")
			}
			return address(text), nil
		}}).Operations()}
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	return w
}

// keep puts a message into quarantine.
func (w *world) keep(t *testing.T, reason gateway.Reason, to ...string) gateway.ID {
	t.Helper()
	id := w.ids.Next()
	text := "From: Ann <ann@author.example>\r\nSubject: hello\r\nMessage-ID: <1@author.example>\r\n\r\nsecret text\r\n"
	policy := &gateway.Policy{Version: "1", Domains: map[string]*gateway.Domain{}}
	for _, d := range []string{"one.example", "two.example", "three.example"} {
		policy.Domains[d] = &gateway.Domain{Name: d, Route: "r", Subject: "full"}
	}
	b := body{bytes.NewReader([]byte(text))}
	h, err := gateway.ReadHeader(b, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	s := &gateway.Session{ID: 1, Client: netip.MustParseAddrPort("192.0.2.7:4000"), Snapshot: &gateway.Snapshot{Hostname: "mx.example.org", Policy: policy}}
	d := gateway.Decision{Outcome: gateway.Quarantine, Reason: reason, Check: "c"}
	e := &gateway.Envelope{ID: id, Session: s, Started: id.Time(), From: address("bounce@sender.example"), Body: b, Header: h, Route: "r"}
	k := &gateway.Keeping{Envelope: e, Verdict: &gateway.Verdict{Decision: d, Score: 7.5}, Trace: []byte("Received: from x\r\n"), Message: fmt.Sprintf("%064x", uint64(id))}
	for i, x := range to {
		r := gateway.Recipient{Address: address(x), Route: "r", Reply: gateway.Reply{Code: 250}}
		e.Rcpts, k.Verdict.Rcpts = append(e.Rcpts, r), append(k.Verdict.Rcpts, d)
		e.Findings = append(e.Findings, gateway.Finding{Check: "rcpt", Stage: gateway.Rcpt, Rcpt: i, Result: gateway.Pass, Evidence: []gateway.Evidence{{Name: "reply", Text: "250 " + x}}})
		k.Rcpts, k.Keys = append(k.Rcpts, r), append(k.Keys, "vault "+x)
	}
	kept, err := w.vault.Prepare(t.Context(), k)
	if err == nil {
		err = kept.Publish()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.rcpts[id] = to
	return id
}

func of(r access.Role, domains ...string) access.Actor {
	return access.Actor{Name: "anna", Role: r, Domains: domains, Via: access.BySession}
}

// TestKeptIsBounded shows the list, page by page, and each message to whoever sees everything and to whoever sees some domains: nothing
// that he is shown names a recipient of another, and what he guesses is not there.
func TestKeptIsBounded(t *testing.T) {
	w := newWorld(t)
	var all []gateway.ID
	for i := range 12 {
		all = append(all, w.keep(t, "", [][]string{{"a@one.example"}, {"b@two.example"}, {"a@one.example", "b@two.example", "c@three.example"}, {"A2@One.example", "x@sub.one.example"}}[i%4]...))
	}
	slices.Reverse(all)
	names := []string{"a@one.example", "A2@One.example", "b@two.example", "c@three.example", "x@sub.one.example"}
	for _, a := range []access.Actor{of(access.Operator), of(access.HelpDesk, "one.example"), of(access.DomainAdmin, "two.example", "three.example"), of(access.QuarantineManager, "four.example")} {
		sees := func(id gateway.ID) (out []string) {
			for _, x := range w.rcpts[id] {
				if a.SeesAny(x) {
					out = append(out, x)
				}
			}
			return out
		}
		check := func(what string, id gateway.ID, v any) {
			t.Helper()
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range names {
				if has := strings.Contains(string(text), `"`+x+`"`) || strings.Contains(string(text), " "+x); has != slices.Contains(sees(id), x) {
					t.Errorf("%s %v: %s names %s: %v; %s", a.Role, a.Domains, what, x, has, text)
				}
			}
		}
		var want []gateway.ID
		for _, id := range all {
			if len(sees(id)) > 0 {
				want = append(want, id)
			}
		}
		for limit := 1; limit <= 13; limit += 3 {
			var got []gateway.ID
			for in := (&api.KeptAsk{Limit: limit}); ; {
				page, err := controltest.Ask[*api.KeptList](t.Context(), w.Surface, a, "quarantine list", in)
				if err != nil {
					t.Fatal(err)
				}
				for i := range page.Messages {
					got = append(got, page.Messages[i].ID)
					check("the list", page.Messages[i].ID, page.Messages[i])
				}
				if (page.Status != nil) != a.Everywhere() {
					t.Errorf("%v: status %v", a.Domains, page.Status)
				}
				if in.Cursor = page.Next; page.Next == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s %v, pages of %d: %v, want %v", a.Role, a.Domains, limit, got, want)
			}
		}
		for _, id := range all {
			l, err := controltest.Ask[*quarantine.Looked](t.Context(), w.Surface, a, "quarantine show", &api.KeptID{ID: id.String()})
			if len(sees(id)) == 0 {
				if controltest.Status(err) != 404 {
					t.Errorf("%v: %v", a.Domains, err)
				}
				continue
			}
			if err != nil || (l.File != "") != a.Everywhere() || l.Message != nil {
				t.Errorf("%v: %+v, %v", a.Domains, l, err)
			}
			check("a message", id, l)
		}
		if page, err := controltest.Ask[*api.KeptList](t.Context(), w.Surface, a, "quarantine list", &api.KeptAsk{Limit: 50, Rcpt: "b@two.example"}); err != nil || !a.SeesAny("b@two.example") && len(page.Messages) > 0 {
			t.Errorf("%v: a guess: %v, %v", a.Domains, page, err)
		}
	}
}

// TestKeptChanges shows who releases, deletes and forwards whose copies: of some domains only those, a help desk no malware, nobody
// to an address that is not his.
func TestKeptChanges(t *testing.T) {
	w := newWorld(t)
	shared := w.keep(t, "", "a@one.example", "b@two.example", "a3@one.example")
	other := w.keep(t, "", "b@two.example")
	bad := w.keep(t, gateway.MalwareFound, "a@one.example")
	one, admin, operator := of(access.HelpDesk, "one.example"), of(access.DomainAdmin, "one.example"), of(access.Operator)
	for name, c := range map[string]struct {
		actor access.Actor
		in    api.KeptRelease
		code  int    // of the call
		want  string // in what became of the first message
	}{
		"his copies":              {one, api.KeptRelease{IDs: []gateway.ID{shared}}, 0, "no way for a@one.example"},
		"another's copy":          {one, api.KeptRelease{IDs: []gateway.ID{shared}, Rcpts: []string{"b@two.example"}}, 0, "not a recipient"},
		"another's message":       {one, api.KeptRelease{IDs: []gateway.ID{other}}, 0, "not in quarantine"},
		"malware":                 {one, api.KeptRelease{IDs: []gateway.ID{bad}}, 0, "no malware"},
		"malware, whole desk":     {of(access.HelpDesk), api.KeptRelease{IDs: []gateway.ID{bad}}, 0, "no malware"},
		"with force":              {one, api.KeptRelease{IDs: []gateway.ID{shared}, Force: true}, 403, ""},
		"malware by an admin":     {admin, api.KeptRelease{IDs: []gateway.ID{bad}}, 0, "no way for a@one.example"},
		"to his own":              {one, api.KeptRelease{IDs: []gateway.ID{shared}, To: "h@one.example"}, 403, ""},
		"to his domain":           {admin, api.KeptRelease{IDs: []gateway.ID{shared}, To: "h@one.example"}, 0, "no way for h@one.example"},
		"to another domain":       {admin, api.KeptRelease{IDs: []gateway.ID{shared}, To: "h@two.example"}, 403, ""},
		"to nothing":              {operator, api.KeptRelease{IDs: []gateway.ID{shared}, To: "nobody"}, 400, ""},
		"none":                    {operator, api.KeptRelease{}, 400, ""},
		"too many":                {operator, api.KeptRelease{IDs: make([]gateway.ID, keptAtOnce+1)}, 400, ""},
		"all copies":              {operator, api.KeptRelease{IDs: []gateway.ID{shared}}, 0, "no way for a@one.example"},
		"an auditor":              {of(access.Auditor), api.KeptRelease{IDs: []gateway.ID{shared}}, 403, ""},
		"a copy that is no one's": {operator, api.KeptRelease{IDs: []gateway.ID{shared}, Rcpts: []string{"z@one.example"}}, 0, "not a recipient"},
	} {
		out, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, c.actor, "quarantine release", &c.in)
		if controltest.Status(err) != c.code {
			t.Errorf("%s: %v", name, err)
		} else if err == nil {
			if text, _ := json.Marshal(out.Messages[0]); !strings.Contains(string(text), c.want) || name == "his copies" && strings.Contains(string(text), "two.example") {
				t.Errorf("%s: %s, want %s", name, text, c.want)
			}
		}
	}
	states := func(id gateway.ID) string {
		rows, err := w.vault.Find(t.Context(), &quarantine.Filter{IDs: []gateway.ID{id}})
		if err != nil || len(rows) == 0 {
			return fmt.Sprint("gone", err)
		}
		var out []string
		for _, to := range rows[0].Rcpts {
			out = append(out, to.State.String())
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		in   api.KeptDelete
		want string // states of the message
	}{{api.KeptDelete{IDs: []gateway.ID{other}}, "visible"}, {api.KeptDelete{IDs: []gateway.ID{shared}, Rcpts: []string{"b@two.example"}}, "visible visible visible"},
		{api.KeptDelete{IDs: []gateway.ID{shared}}, "deleted visible deleted"}, {api.KeptDelete{IDs: []gateway.ID{bad}}, "gone<nil>"}} {
		if _, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, one, "quarantine delete", &c.in); err != nil || states(c.in.IDs[0]) != c.want {
			t.Errorf("%+v: %v, %s", c.in, err, states(c.in.IDs[0]))
		}
	}
	if _, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, one, "quarantine forward", &api.KeptForward{IDs: []gateway.ID{shared}, To: "h@one.example"}); controltest.Status(err) != 403 {
		t.Errorf("a help desk reads by forwarding: %v", err)
	}
	if _, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, admin, "quarantine forward", &api.KeptForward{IDs: []gateway.ID{other}, To: "h@two.example"}); controltest.Status(err) != 403 {
		t.Errorf("to another's domain: %v", err)
	}
	if out, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, admin, "quarantine forward", &api.KeptForward{IDs: []gateway.ID{other}, To: "h@one.example"}); err != nil || !strings.Contains(out.Messages[0].Error, "not in quarantine") {
		t.Errorf("another's message: %+v, %v", out, err)
	}
	for _, name := range []string{"expire", "clear-latch", "key rotate"} {
		if _, err := controltest.Ask[any](t.Context(), w.Surface, of(access.QuarantineManager), "quarantine "+name, &struct{}{}); controltest.Status(err) != 403 {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys, err := controltest.Ask[*api.KeptKeys](t.Context(), w.Surface, operator, "quarantine key rotate", &struct{}{})
	if err != nil || len(keys.Keys) != 2 || !slices.Equal(w.told, []string{"made key anna"}) {
		t.Errorf("%+v, %v, %q", keys, err, w.told)
	}
}

// TestKeptView shows that what is in a message is shown to who may, who says what for, and whose it is; and that each look is audited.
func TestKeptView(t *testing.T) {
	w := newWorld(t)
	mine, others := w.keep(t, "", "a@one.example"), w.keep(t, "", "b@two.example")
	var audited []control.Entry
	w.Audit = func(_ context.Context, e control.Entry) { audited = append(audited, e) }
	for _, c := range []struct {
		actor access.Actor
		in    api.KeptLook
		code  int
	}{{of(access.HelpDesk), api.KeptLook{ID: mine.String(), Why: "asked"}, 403}, {of(access.QuarantineManager, "one.example"), api.KeptLook{ID: mine.String()}, 400},
		{of(access.QuarantineManager, "one.example"), api.KeptLook{ID: mine.String(), Why: strings.Repeat("x", control.MaxWhy+1)}, 400},
		{of(access.QuarantineManager, "one.example"), api.KeptLook{ID: others.String(), Why: "asked"}, 404}, {of(access.QuarantineManager, "one.example"), api.KeptLook{ID: "x", Why: "asked"}, 400},
		{of(access.QuarantineManager, "one.example"), api.KeptLook{ID: mine.String(), Why: "asked"}, 0},
		{access.Actor{Name: "root", Role: access.Owner, Via: access.BySocket}, api.KeptLook{ID: others.String()}, 0}} {
		audited = nil
		l, err := controltest.Ask[*quarantine.Looked](t.Context(), w.Surface, c.actor, "quarantine view", &c.in)
		if controltest.Status(err) != c.code || err == nil && !strings.HasSuffix(string(l.Message), "secret text\r\n") || len(audited) != 1 {
			t.Errorf("%+v: %v, %v", c, err, audited)
		}
		f, err := controltest.Ask[*control.File](t.Context(), w.Surface, c.actor, "quarantine raw", &c.in)
		if controltest.Status(err) != c.code || err == nil && (!strings.HasSuffix(string(f.Data), "secret text\r\n") || f.Type != "message/rfc822") || len(audited) != 2 {
			t.Errorf("%+v: %v, %v", c, err, audited)
		}
		if text, _ := json.Marshal(audited); strings.Contains(string(text), "secret text") {
			t.Errorf("what is in mail is audited: %s", text)
		}
	}
}
