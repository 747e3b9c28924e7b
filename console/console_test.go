package console

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// users are accounts whose session is their name with "session-" before it, and whose password is the name turned round.
type users map[string]access.Actor

func (u users) Login(_ context.Context, a *Attempt) (Login, error) {
	if a.Token == "first-code" && a.Code == "123456" {
		return Login{Token: "session-code"}, nil
	}
	name := []byte(a.Name)
	slices.Reverse(name)
	if _, ok := u[a.Name]; !ok || string(name) != a.Password || a.Token != "" {
		return Login{}, ErrLogin
	}
	if a.Name == "code" {
		return Login{Token: "first-code", More: true}, nil
	}
	return Login{Token: "session-" + a.Name}, nil
}

func (u users) Session(_ context.Context, token string, _ netip.Addr) (access.Actor, error) {
	if a, ok := u[strings.TrimPrefix(token, "session-")]; ok && strings.HasPrefix(token, "session-") {
		return a, nil
	}
	return access.Actor{}, ErrLogin
}

func (u users) Bearer(_ context.Context, token string, _ netip.Addr) (access.Actor, error) {
	if a, ok := u[strings.TrimPrefix(token, "token-")]; ok && strings.HasPrefix(token, "token-") {
		return a, nil
	}
	return access.Actor{}, ErrLogin
}

func (u users) Logout(context.Context, string) error { return nil }

// Prove takes the name, and leaves the session as it is.
func (u users) Prove(_ context.Context, a access.Actor, proof string) (string, error) {
	if proof != a.Name {
		return "", &control.Fault{Status: http.StatusUnauthorized, Message: "the password is wrong", Field: "proof"}
	}
	return "session-" + a.Name, nil
}

func (u users) Empty(context.Context) (bool, error) { return len(u) == 0, nil }

// First lets anna in by the code 1111, Redeem by 2222.
func (u users) First(_ context.Context, a *Attempt) (Login, error) {
	if a.Code != "1111" || a.Name != "anna" {
		return Login{}, ErrLogin
	}
	u["anna"] = access.Actor{Name: "anna", Role: access.Owner}
	return Login{Token: "session-anna"}, nil
}

func (u users) Redeem(_ context.Context, a *Attempt) (Login, error) {
	if a.Code != "2222" {
		return Login{}, ErrLogin
	}
	return Login{Token: "session-anna"}, nil
}

// mails is a log in memory, behind operations of the names and types of the daemon's. It looks for senders only; what it shows to whom
// is package maillog's.
type mails struct {
	events []*gateway.Event // the newest first
	gaps   []string
	fail   error
	node   string // whose the messages are
}

func (m *mails) operations() []control.Operation {
	read := func(name, path string) control.Operation {
		return control.Operation{Name: name, Method: "GET", Path: path, Doc: "Read it", Right: access.LogRead}
	}
	return []control.Operation{control.Define(read("log search", "/log"), m.search), control.Define(read("trace", "/log/{reference}"), m.story),
		control.Define(read("log summary", "/summary"), m.summary), control.DefineStream(read("log follow", "/log/live"), m.follow),
		control.Define(control.Operation{Name: "status", Method: "GET", Path: "/status", Doc: "Tell it", Right: access.StatusRead}, func(context.Context, *struct{}) (*api.Status, error) {
			return &api.Status{Since: time.Now(), Servers: []api.Server{{What: "clamd", Server: "127.0.0.1:3310", Said: "<b>no answer</b>"}}, Parts: []api.Part{{Part: "store", Detail: "writes", OK: true}}}, nil
		})}
}

func (m *mails) rows(actor access.Actor, q string) (out []api.LogRow) {
	for _, e := range m.events {
		row := rowOf(e)
		if from, ok := strings.CutPrefix(q, "from:"); actor.SeesAny(row.Rcpts...) && (!ok || strings.Contains(row.From, from)) {
			out = append(out, row.LogRow)
		}
	}
	return out
}

func (m *mails) search(ctx context.Context, in *api.LogSearch) (*api.LogPage, error) {
	out := &api.LogPage{Rows: []api.LogRow{}, Gaps: m.gaps, Complete: true, Since: time.Now().Add(-24 * time.Hour), Until: time.Now()}
	if strings.HasPrefix(in.Query, "colour:") || len(in.Query) > maxQuery {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "there is no field, or too much", Field: "q"}
	}
	for _, row := range m.rows(access.Of(ctx), in.Query) {
		*out.Counts.Of(row.Class)++
		switch {
		case !row.Class.Picks(in.Verdict) || in.Cursor != "" && row.ID.String() >= in.Cursor:
		case len(out.Rows) == in.Limit:
			out.Next = out.Rows[in.Limit-1].ID.String()
		default:
			out.Rows = append(out.Rows, row)
		}
	}
	return out, m.fail
}

func (m *mails) summary(ctx context.Context, in *api.SummaryAsk) (*api.Summary, error) {
	page, err := m.search(ctx, &api.LogSearch{Limit: 500})
	if err != nil {
		return nil, err
	}
	page.Columns = []api.LogSpan{{From: page.Since, To: page.Until, LogCounts: page.Counts}}
	out := &api.Summary{Since: page.Since, Until: page.Until, Counts: page.Counts, Columns: page.Columns, Gaps: page.Gaps, Complete: true}
	if len(page.Rows) > 0 {
		out.Reasons = []api.ReasonCount{{Reason: gateway.SpamScore, N: len(page.Rows)}}
	}
	return out, nil
}

func (m *mails) story(ctx context.Context, in *api.LogReference) (*api.LogStory, error) {
	actor := access.Of(ctx)
	for _, e := range m.events {
		if row := rowOf(e); e.Record.ID.String() == in.ID && actor.SeesAny(row.Rcpts...) {
			told := journal.NewStory(e)
			told.Node = m.node
			return &api.LogStory{ID: e.Record.ID, Event: told, Connection: journal.NewStory(e), Fates: []gateway.Fate{{ID: e.Record.ID, Time: e.Record.Time, What: gateway.FateDeferred, Rcpts: row.Rcpts, Said: "450 try later"}}}, m.fail
		}
	}
	return nil, &control.Fault{Status: http.StatusNotFound, Message: "nothing is known of it", Hint: "the log may not reach back so far"}
}

func (m *mails) follow(ctx context.Context, in *api.LogFollow, send control.Send) error {
	for _, row := range m.rows(access.Of(ctx), in.Query) {
		if err := send(row.ID.String(), "row", row); err != nil {
			return err
		}
	}
	if err := send("1", "skipped", api.LogSkipped{Rows: 7}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func address(text string) gateway.Address {
	i := strings.LastIndexByte(text, '@')
	return gateway.Address{Text: text, Local: text[:i], Domain: text[i+1:]}
}

// refused is a message that was refused by its score, n seconds ago.
func refused(n int, rcpts ...string) *gateway.Event {
	id := gateway.ID(time.Now().Add(-time.Duration(n)*time.Second).UnixMilli() << 20)
	r := &gateway.Record{ID: id, Session: id, Time: id.Time(), Stage: gateway.Data, Listener: "mx", Client: netip.MustParseAddr("192.0.2.7"), Helo: "mail.example.org", From: address("list@example.org"), Size: 5200,
		Findings: []gateway.Finding{
			{Check: "rbl", Rcpt: -1, Result: gateway.Fail, Reason: gateway.RBLListed, Took: 19 * time.Millisecond},
			{Check: "spf", Rcpt: -1, Result: gateway.Fail, Reason: gateway.SPFFail, Took: time.Millisecond},
			{Check: "dkim", Rcpt: -1, Result: gateway.NotRun}}}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Policy: "41", Subject: "An offer", Reply: gateway.Reply{Code: 550, Enhanced: "5.7.1", Text: "Message refused as spam"}, Took: time.Second,
		Evidence: [][]gateway.Evidence{{{Name: "zen.rbl.test A", Text: "127.0.0.4"}}, nil, nil},
		Verdict: gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Reject, Reason: gateway.SpamScore}, Score: 16.5,
			Priced: []gateway.Price{{Check: "rbl", Measure: "listed", Text: "zen.rbl.test", Points: 12, Line: "policy.toml:12"}, {Check: "spf", Measure: "fail", Points: 4.5}}}}
	for _, to := range rcpts {
		r.Rcpts = append(r.Rcpts, gateway.RecordRcpt{To: address(to), Code: 250})
		e.Verdict.Rcpts = append(e.Verdict.Rcpts, e.Verdict.Decision)
	}
	return e
}

// site is a console with operators of several roles.
type site struct {
	*Console
	log     *mails
	handler http.Handler
}

func newSite(t *testing.T, events ...*gateway.Event) *site {
	t.Helper()
	s := &site{log: &mails{events: events}}
	all := users{"anna": {Name: "anna", Role: access.Owner}, "helper": {Name: "helper", Role: access.HelpDesk, Domains: []string{"served.test"}},
		"both": {Name: "both", Role: access.HelpDesk, Domains: []string{"served.test", "other.test"}}, "code": {Name: "code", Role: access.Auditor},
		"narrow": {Name: "narrow", Role: access.Owner, Rights: []access.Right{access.QueueRead}}}
	c, err := New(Options{Accounts: all, Frame: func() Frame { return Frame{Host: "mx.served.test", Version: "1.0", Policy: "41"} },
		Thresholds: func(string) (gateway.Thresholds, string) {
			return gateway.Thresholds{Tag: 5, Quarantine: 7, Reject: 15}, "42"
		}})
	if err != nil {
		t.Fatal(err)
	}
	c.Surface = &control.Surface{Operations: append(s.log.operations(), control.Define(control.Operation{Name: "note", Method: "POST", Path: "/note", Doc: "Note it", Right: access.Own},
		func(_ context.Context, in *struct {
			Text string `json:"text" doc:"What" required:"true"`
		}) (map[string]string, error) {
			return map[string]string{"noted": in.Text}, nil
		}))}
	s.Console, s.handler = c, c.Handler()
	return s
}

// ask asks as somebody, "" for nobody, with fields of a header as name, value.
func (s *site) ask(who, method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://mx.served.test"+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if who != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "session-" + who})
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func has(t *testing.T, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d: %.300s", w.Code, status, w.Body)
	}
	for _, x := range texts {
		want := true
		if rest, not := strings.CutPrefix(x, "!"); not {
			x, want = rest, false
		}
		if strings.Contains(w.Body.String(), x) != want {
			t.Errorf("%q in the page: %v", x, !want)
		}
	}
}

// TestHeaders shows that every answer, whatever it is, has the headers of the design, and no page has anything inline.
func TestHeaders(t *testing.T) {
	s := newSite(t, refused(5, "one@served.test"))
	id := s.log.events[0].Record.ID.String()
	for _, path := range []string{"/", "/log", "/log/m/" + id, "/login", "/nowhere", "/api/v1/log", "/api/v1/nowhere", "/assets/none", "/log?q=nofield:x"} {
		w := s.ask("anna", "GET", path, nil)
		h := w.Header()
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store", "Content-Security-Policy": security} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		page := w.Body.String()
		if strings.HasPrefix(h.Get("Content-Type"), "text/html") && regexp.MustCompile(`(?i)<style|\sstyle=|\son\w+=|<script(>| [^>]*>[^<])|javascript:`).MatchString(page) {
			t.Errorf("%s: there is something inline", path)
		}
	}
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types gatepost"
	if security != want {
		t.Error("the policy is not that of the design")
	}
	for file, name := range s.assets.names {
		w := s.ask("", "GET", name, nil)
		if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %v", file, w.Code, w.Header())
		}
	}
}

// TestBudgets holds script and stylesheet within those of the design.
func TestBudgets(t *testing.T) {
	for name, most := range map[string]int{"console.js": 16 << 10, "console.css": 48 << 10} {
		data, err := files.ReadFile("assets/" + name)
		if err != nil || len(data) > most {
			t.Errorf("%s: %d octets, %v", name, len(data), err)
		}
	}
}

// TestLogin shows that a login lets in once with a new token, by a cookie that no script reads, that unknown and wrong look alike, and
// that nobody is sent to another host.
func TestLogin(t *testing.T) {
	s := newSite(t)
	w := s.ask("", "GET", "/log?q=x", nil)
	if w.Code != 303 || w.Header().Get("Location") != "/login?to=%2Flog%3Fq%3Dx" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := s.ask("", "GET", "/log", nil, "X-Partial", "results"); w.Code != 401 {
		t.Errorf("part: %d", w.Code)
	}
	wrong := s.ask("", "POST", "/login", url.Values{"name": {"anna"}, "password": {"x"}, "to": {"/log"}})
	unknown := s.ask("", "POST", "/login", url.Values{"name": {"nobo"}, "password": {"x"}, "to": {"/log"}})
	if wrong.Code != 401 || strings.ReplaceAll(wrong.Body.String(), "anna", "nobo") != unknown.Body.String() {
		t.Error("unknown and wrong do not look alike")
	}
	w = s.ask("old", "POST", "/login", url.Values{"name": {"both"}, "password": {"both"}, "to": {"/log"}}) // of nobody
	if w.Code != 401 {
		t.Errorf("%d", w.Code)
	}
	for to, want := range map[string]string{"/log?q=x": "/log?q=x", "//evil.test": "/", "https://evil.test/": "/", "/\\evil.test": "/", "javascript:alert(1)": "/", "/login": "/", "": "/", "/a\tb": "/"} {
		w = s.ask("", "POST", "/login", url.Values{"name": {"both"}, "password": {"htob"}, "to": {to}})
		k := w.Header().Get("Set-Cookie")
		if w.Code != 303 || w.Header().Get("Location") != want || k != "__Host-gatepost=session-both; Path=/; HttpOnly; Secure; SameSite=Strict" {
			t.Errorf("%q: %d %q %q", to, w.Code, w.Header().Get("Location"), k)
		}
	}
	w = s.ask("", "POST", "/login", url.Values{"name": {"code"}, "password": {"edoc"}})
	has(t, w, 200, `name="token" value="first-code"`, "one-time-code")
	if w.Header().Get("Set-Cookie") != "" {
		t.Error("the first step lets in")
	}
	if w = s.ask("", "POST", "/login", url.Values{"token": {"first-code"}, "code": {"123456"}}); w.Code != 303 {
		t.Errorf("code: %d", w.Code)
	}
	if w = s.ask("", "POST", "/login", url.Values{"name": {"both"}, "password": {"htob"}}, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("another site logs in: %d", w.Code)
	}
	if w = s.ask("", "POST", "/login", url.Values{"name": {"both"}, "password": {strings.Repeat("x", 200_000)}}); w.Code != 400 {
		t.Errorf("a huge form: %d", w.Code)
	}
	if w = s.ask("anna", "POST", "/logout", url.Values{"form": {formToken("session-anna")}}); w.Code != 303 || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %d %v", w.Code, w.Header())
	}
	if w = s.ask("anna", "POST", "/logout", url.Values{"form": {formToken("session-both")}}); w.Header().Get("Set-Cookie") != "" {
		t.Error("a form of another session logs out")
	}
	if w = s.ask("anna", "POST", "/theme", url.Values{"theme": {"dark"}, "to": {"/log"}}); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Set-Cookie"), "__Host-theme=dark;") {
		t.Errorf("theme: %v", w.Header())
	}
	has(t, s.ask("anna", "GET", "/log", nil, "Cookie", sessionCookie+"=session-anna; "+themeCookie+"=dark"), 200, `<html lang="en" data-theme="dark">`)
	if w = s.ask("anna", "POST", "/log", nil); w.Code != 405 && w.Code != 404 {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestNoAccounts shows that without accounts nobody is let in.
func TestNoAccounts(t *testing.T) {
	s := newSite(t)
	s.Console.Accounts = nil
	has(t, s.ask("anna", "GET", "/login", nil), 200, "There are no accounts yet")
	for _, path := range []string{"/", "/log"} {
		if w := s.ask("anna", "GET", path, nil); w.Code != 303 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := s.ask("anna", "GET", "/api/v1/log", nil, "Authorization", "Bearer token-anna"); w.Code != 401 {
		t.Errorf("API: %d", w.Code)
	}
	if w := s.ask("", "POST", "/login", url.Values{"name": {"anna"}, "password": {"anna"}}); w.Code != 401 {
		t.Errorf("login: %d", w.Code)
	}
}

// TestForbidden shows that the page names the right and who has it, and that the navigation has what one may see only.
func TestForbidden(t *testing.T) {
	s := newSite(t)
	has(t, s.ask("narrow", "GET", "/log", nil), 403, "Your role", "log.read", `!href="/log">`)
	has(t, s.ask("helper", "GET", "/", nil), 200, `href="/log"`, "!Services", "!no answer")
	has(t, s.ask("anna", "GET", "/", nil), 200, "Services", "&lt;b&gt;no answer")
}

// TestStates shows the pages of an empty log, of one that nothing matches, of one that has a gap, and of one that fails.
func TestStates(t *testing.T) {
	s := newSite(t)
	has(t, s.ask("anna", "GET", "/log", nil), 200, "No mail in this time", "swaks")
	has(t, s.ask("anna", "GET", "/", nil), 200, "No mail yet", "gatepost doctor")
	has(t, s.ask("anna", "GET", "/log?q=from:nobody@example.org", nil), 200, "No message matches", "Clear filters")
	has(t, s.ask("anna", "GET", "/log?q=colour:red", nil), 400, "There is no field", `value="colour:red"`)
	has(t, s.ask("anna", "GET", "/log?q="+strings.Repeat("x", 600), nil), 400, "There is no field, or too much")
	s.log.gaps = []string{"2026-11-20: <i>damaged</i>"}
	has(t, s.ask("anna", "GET", "/log", nil), 200, "Part of the log cannot be read", "&lt;i&gt;damaged")
	s.log.fail = fmt.Errorf("secret path")
	w := s.ask("anna", "GET", "/log", nil)
	has(t, w, 500, "This page cannot be shown now", "Mail is not affected", "!secret path", "Number <code>")
	has(t, s.ask("anna", "GET", "/log/m/none", nil), 404)
	s.log.fail = nil
	has(t, s.ask("anna", "GET", "/log/m/"+refused(9).Record.ID.String(), nil), 404, "Nothing is known of")
}

// TestWhy shows a refusal by score: the sentence, the largest part, the checks with their points and evidence, and that the parts add
// up to the score.
func TestWhy(t *testing.T) {
	e := refused(5, "one@served.test")
	s := newSite(t, e)
	w := s.ask("anna", "GET", "/log/m/"+e.Record.ID.String(), nil)
	has(t, w, 200, "Rejected because the score reached 16.5 and your policy rejects from 15.0. The largest part is &#43;12.0 from the check rbl.",
		"127.0.0.4", "zen.rbl.test A", "policy.toml:12", "550 5.7.1 Message refused as spam", "Without rbl", "largest part", "not run", "judged by policy", `id="tp-json"`)
	has(t, w, 200, "<dt>Listener</dt>", "!<dt>Node</dt>")
	s.log.node = "mx1"
	part := s.ask("anna", "GET", "/log/m/"+e.Record.ID.String(), nil, "X-Partial", "drawer")
	has(t, part, 200, "!<html", "Rejected because", "<div><dt>Node</dt><dd><bdi class=\"wrap\">mx1</bdi>")
	hop := refused(6, "one@served.test")
	hop.Verdict = gateway.Verdict{}
	hop.Relayed = &gateway.Relayed{Result: gateway.RefusedByHop, NextHop: "10.0.0.8:25", Said: "552 too big", At: "dot"}
	if got := why(hop, gateway.Thresholds{Tag: 5}); got != "Rejected by the internal server: our checks let it pass, and 10.0.0.8:25 said at the end of the message: 552 too big" {
		t.Error(got)
	}
	virus := refused(7, "one@served.test")
	virus.Verdict.Decision = gateway.Decision{Outcome: gateway.Reject, Reason: gateway.MalwareFound, Args: []string{"Eicar-Test"}, Check: "malware"}
	if got := why(virus, gateway.Thresholds{Tag: 5}); got != "Rejected by the check malware: malware was found in it (Eicar-Test). The score of 16.5 did not decide." {
		t.Error(got)
	}
}

// TestLive shows that a live view sends rows as they come, in lines of one event each, and how many it left out; and that there are not too
// many.
func TestLive(t *testing.T) {
	s := newSite(t, refused(1, "one@served.test"), refused(2, "two@other.test"))
	web := httptest.NewServer(s.handler)
	defer web.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func() *http.Response {
		r, _ := http.NewRequestWithContext(ctx, "GET", web.URL+"/log/live", nil)
		r.Header.Set("Cookie", sessionCookie+"=session-helper")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := open()
	defer a.Body.Close()
	var got strings.Builder
	lines := bufio.NewScanner(a.Body)
	for lines.Scan() {
		if got.WriteString(lines.Text() + "\n"); lines.Text() == "data: 7" {
			break
		}
	}
	text := got.String()
	if a.Header.Get("Content-Type") != "text/event-stream" || !strings.HasPrefix(text, ": begin\n\nid: "+s.log.events[0].Record.ID.String()+"\nevent: row\ndata: \"") || strings.Contains(text, "two@other.test") || !strings.Contains(text, "event: skipped") {
		t.Errorf("%s %s", a.Header, text)
	}
	for range cap(s.streams) - len(s.streams) {
		s.streams <- struct{}{}
	}
	if b := open(); b.StatusCode != http.StatusServiceUnavailable || b.Header.Get("Retry-After") == "" {
		t.Errorf("too many: %d", b.StatusCode)
	} else {
		b.Body.Close()
	}
}

// TestAPI shows who is let in, and that a change by a session brings the form's token.
func TestAPI(t *testing.T) {
	s := newSite(t, refused(5, "one@served.test"))
	has(t, s.ask("", "GET", "/api/v1/log", nil), 401, "nobody is logged in")
	has(t, s.ask("", "GET", "/api/v1/log", nil, "Authorization", "Bearer token-anna"), 200, `"rejected":1`)
	has(t, s.ask("anna", "GET", "/api/v1/log", nil, "Authorization", "Bearer wrong"), 401)
	has(t, s.ask("narrow", "GET", "/api/v1/log", nil), 403, "needs the right log.read")
	has(t, s.ask("anna", "GET", "/api/v1/log?colour=red", nil), 400, "unknown field")
	note := func(header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "https://mx.served.test/api/v1/note", strings.NewReader(`{"text":"x"}`))
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		return w
	}
	k := sessionCookie + "=session-anna"
	has(t, note("Cookie", k), 403, formHeader)
	has(t, note("Cookie", k, formHeader, formToken("session-both")), 403)
	has(t, note("Cookie", k, formHeader, formToken("session-anna")), 200, `"noted":"x"`)
	has(t, note("Authorization", "Bearer token-anna"), 200)
	has(t, note("Cookie", k, formHeader, formToken("session-anna"), "Sec-Fetch-Site", "cross-site"), 403)
	has(t, s.ask("helper", "GET", "/api/v1/openapi.json", nil), 200, `"openapi":"3.1.0"`, `"/log/{reference}"`, `"operationId":"log-search"`)
}

// TestServer shows who may connect: strangers find the connection closed, and too many of all as well.
func TestServer(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	pair := certificate.TLS.Certificates[0]
	certificate.Close()
	for _, x := range []struct {
		networks string
		want     bool
	}{{"127.0.0.0/8", true}, {"192.0.2.0/24", false}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{Handler: newSite(t).handler, Networks: []netip.Prefix{netip.MustParsePrefix(x.networks)}, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		a, err := client.Get("https://" + l.Addr().String() + "/login")
		if (err == nil) != x.want {
			t.Errorf("%s: %v", x.networks, err)
		}
		if err == nil {
			text, _ := io.ReadAll(a.Body)
			a.Body.Close()
			if a.StatusCode != 200 || !strings.Contains(string(text), "Sign in") {
				t.Errorf("%d %.100s", a.StatusCode, text)
			}
		} else if s.Turned() == 0 {
			t.Error("it is not counted")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s := &Server{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	if _, may := s.client(netip.MustParseAddr("198.51.100.1")); may {
		t.Error("a stranger is let in")
	}
	a, may := s.client(netip.MustParseAddr("192.0.2.1"))
	if !may {
		t.Error("one of the networks is not let in")
	}
	for range maxOfClient {
		if !s.seats.Enter(a, bounds()) {
			t.Fatal("too few are let in")
		}
	}
	if s.seats.Enter(a, bounds()) {
		t.Error("too many of one are let in")
	}
	s.seats.Leave(a)
	if !s.seats.Enter(a, bounds()) {
		t.Error("a place was not given back")
	}
}
