package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/internal/lab"
)

// user is somebody who follows links, with the certificate of the page as the authority that he trusts.
type user struct {
	t *testing.T
	http.Client
}

// page asks, and returns status and text.
func (u *user) page(method, address, token string) (int, string) {
	u.t.Helper()
	var form io.Reader
	if token != "" {
		form = strings.NewReader(url.Values{"token": {token}}.Encode())
	}
	r, err := http.NewRequestWithContext(u.t.Context(), method, address, form)
	if err != nil {
		u.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := u.Do(r)
	if err != nil {
		u.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	if policy := a.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || a.Header.Get("Set-Cookie") != "" {
		u.t.Errorf("%s %s: %v", method, address, a.Header)
	}
	return a.StatusCode, string(text)
}

const portalURL = "https://quarantine.served.test:8444"

// digestWorld is a daemon whose spamd quarantines what it sees, with a page for users.
func digestWorld(t *testing.T, policy ...string) (*world, *user) {
	certificate, key, pair := pairFor(t, "quarantine.served.test", hostname)
	w := begin(t, setup{policy: noGreylist + "[quarantine.digest]\nat = [\"03:00\"]\n" + strings.Join(policy, ""), routes: []route{{name: "internal", domains: []string{"served.test"}}},
		web:       "portal = [\"127.0.0.1:0\"]\nportal_url = \"" + portalURL + "\"\n",
		bootstrap: "[tls]\ncertificate = \"" + certificate + "\"\nkey = \"" + key + "\"\n"})
	w.spamd.On("REPORT", lab.Action{Bytes: []byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 9.0 / 5.0\r\n\r\n"), Then: lab.Close})
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	u := &user{t: t}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, w.portal(t)) // after a restart it is elsewhere
	}, DisableKeepAlives: true}
	u.Client = http.Client{Transport: transport, Timeout: clientTime}
	return w, u
}

// portal is where the page is.
func (w *world) portal(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.StateDir(w.dir), "addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Portal []string `json:"portal"`
	}
	if err := json.Unmarshal(text, &a); err != nil || len(a.Portal) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return a.Portal[0]
}

// digestText reads the text part of a digest.
func digestText(t *testing.T, raw []byte) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := multipart.NewReader(m.Body, params["boundary"]).NextPart() // it decodes quoted-printable
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, string(text)
}

// TestDigest: a recipient is told once of what is kept for him, over a kill too, follows his link, presses the button, and gets the
// message once; whoever only looks releases nothing; the journal tells who did it, and never the token. Another does so in Chromium.
func TestDigest(t *testing.T) {
	t.Parallel()
	w, u := digestWorld(t)
	ref := w.quarantined(t, "bob@served.test", "eve@served.test")
	if out, _ := w.command(t, 0, "quarantine", "digest", "--recipient", "bob@served.test"); !strings.Contains(out, "bob@served.test: 1 message") || !strings.Contains(out, ref) ||
		!strings.Contains(out, "Deliver it: (link)") || strings.Contains(out, "win now") {
		t.Errorf("a look: %s", out)
	}
	w.command(t, 0, "quarantine", "digest", "--send", "--recipient", "bob@served.test")
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if out, said := w.command(t, 0, "quarantine", "digest", "--send"); out != "eve@served.test: 1 message\n" || !strings.Contains(said, "1 digest sent") {
		t.Errorf("the others: %s%s", out, said)
	}
	all := w.hop(t).Accepted()
	if len(all) != 2 {
		t.Fatalf("%d digests arrived", len(all))
	}
	if r := all[0]; !strings.HasPrefix(r.Mail, "MAIL FROM:<>") || len(r.Rcpts) != 1 || !strings.Contains(r.Rcpts[0], "<bob@served.test>") {
		t.Errorf("%q to %q", r.Mail, r.Rcpts)
	}
	h, text := digestText(t, all[0].Raw)
	if h.Get("Auto-Submitted") != "auto-generated" || strings.Contains(text, "win now") || !strings.Contains(text, ref) {
		t.Errorf("%v\n%s", h, text)
	}
	link := regexp.MustCompile(`https://\S+`).FindString(text)
	token, ok := strings.CutPrefix(link, portalURL+"/release/")
	if !ok {
		t.Fatalf("the link is %q", link)
	}
	for _, method := range []string{"HEAD", "GET", "OPTIONS", "PUT"} {
		code, page := u.page(method, link, "")
		if good := method == "GET" || method == "HEAD"; (code == 200) != good || method == "GET" && !strings.Contains(page, "<form method=\"post\" action=\"/release\">") {
			t.Errorf("%s: %d\n%s", method, code, page)
		}
	}
	if n := len(w.hop(t).Accepted()); n != 2 {
		t.Fatalf("looking released: %d arrived", n)
	}
	if code, page := u.page("POST", portalURL+"/release", token[:len(token)-4]+"AAAA"); code != 404 {
		t.Errorf("forged: %d\n%s", code, page)
	}
	var pressing sync.WaitGroup
	for range 8 {
		pressing.Go(func() {
			if code, page := u.page("POST", portalURL+"/release", token); code != 200 && code != 409 {
				t.Errorf("pressed: %d\n%s", code, page)
			}
		})
	}
	pressing.Wait()
	for _, again := range []func() (int, string){func() (int, string) { return u.page("POST", portalURL+"/release", token) }, func() (int, string) { return u.page("GET", link, "") }} {
		if code, page := again(); code != 200 || !strings.Contains(page, "has been released") || strings.Contains(page, "<form") {
			t.Errorf("again: %d\n%s", code, page)
		}
	}
	w.release(t, ref, 3)
	w.awaitCommand(t, "released by bob@served.test (by a link)", "trace", ref)
	w.awaitCommand(t, `"object":"`+ref+`","domain":"served.test"`, "audit", "list", "--json", "--actor", "bob@served.test")
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if code, page := u.page("POST", portalURL+"/release", token); code != 200 || !strings.Contains(page, "has been released") {
		t.Errorf("after a kill: %d\n%s", code, page)
	}
	w.release(t, ref, 3)
	w.followed(t, ref, all[1].Raw)
	log, err := os.ReadFile(filepath.Join(w.dir, "gatepost.log"))
	if err != nil || strings.Contains(string(log), token[:20]) {
		t.Errorf("the log has the token, or %v", err)
	}
}

// release shows that n messages arrived, the last of them from quarantine, for the one who asked.
func (w *world) release(t *testing.T, ref string, n int) {
	t.Helper()
	all := w.hop(t).Accepted()
	if len(all) != n {
		t.Fatalf("%d arrived", len(all))
	}
	a, err := readArrival(all[n-1])
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := a.field("X-Gatepost-Released"); got != ref || len(all[n-1].Rcpts) != 1 || !strings.Contains(all[n-1].Rcpts[0], "<bob@served.test>") {
		t.Errorf("released %q for %q", got, all[n-1].Rcpts)
	}
}

// TestDigestNotForUsers: what users may not release has no link, and a token that was signed for it all the same releases nothing;
// nor does one for somebody who is no recipient, nor one that has ended. A next hop that is away leaves a link good.
func TestDigestNotForUsers(t *testing.T) {
	t.Parallel()
	w, u := digestWorld(t)
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("354", "DATA")
	c.send("From: alice@example.org\r\nTo: bob@served.test\r\nSubject: bill\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <exe@example.org>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=\"bill.exe\"\r\nContent-Disposition: attachment; filename=\"bill.exe\"\r\n\r\nMZ text\r\n.\r\n")
	grave := spoolRef(t, c.reply())
	c.want("221", "QUIT")
	if out, _ := w.command(t, 0, "quarantine", "list", "--class", "attachment"); !strings.Contains(out, grave) {
		t.Fatalf("not of class attachment: %s", out)
	}
	w.command(t, 0, "quarantine", "digest", "--send")
	sent := w.hop(t).Accepted()
	if len(sent) != 1 {
		t.Fatalf("%d digests arrived", len(sent))
	}
	if _, text := digestText(t, sent[0].Raw); strings.Contains(text, "https:") || !strings.Contains(text, grave) || !strings.Contains(text, "Ask your administrator") {
		t.Errorf("told:\n%s", text)
	}
	mild := w.quarantined(t, "bob@served.test")
	text, err := os.ReadFile(filepath.Join(lab.StateDir(w.dir), "digest.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	make := func(ref, rcpt string, valid time.Duration) string {
		id, err := gateway.ParseID(ref)
		if err != nil {
			t.Fatal(err)
		}
		return digest.Make(key, &digest.Token{ID: id, Rcpt: rcpt, Action: digest.Release, Expires: time.Now().Add(valid)})
	}
	down(w.hop(t))
	for _, c := range []struct {
		what, token string
		code        int
	}{
		{"grave", make(grave, "bob@served.test", time.Hour), 403},
		{"no recipient", make(mild, "eve@served.test", time.Hour), 410},
		{"ended", make(mild, "bob@served.test", -time.Second), 410},
		{"away", make(mild, "bob@served.test", time.Hour), 503},
	} {
		if code, page := u.page("POST", portalURL+"/release", c.token); code != c.code {
			t.Errorf("%s: %d\n%s", c.what, code, page)
		}
	}
	w.hop(t).On("CONNECT")
	if n := len(w.hop(t).Accepted()); n != 1 {
		t.Fatalf("%d arrived", n)
	}
	if code, page := u.page("POST", portalURL+"/release", make(mild, "bob@served.test", time.Hour)); code != 200 {
		t.Errorf("there again: %d\n%s", code, page)
	}
	w.release(t, mild, 2)
}
