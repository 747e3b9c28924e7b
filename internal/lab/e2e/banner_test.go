package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/quotedprintable"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/signer"
)

// bannerWorld is a daemon with the recipe of docs/policy.md as it is written, but for the domain, which has learned who writes
// to whom for 15 days. The banner of first contacts has letters beyond US-ASCII.
func bannerWorld(t *testing.T, partner *signer.Key, keys map[string]string) *world {
	t.Helper()
	text, err := os.ReadFile("../../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, found := strings.Cut(string(text), "## Banners: mail from outside, first contacts")
	_, recipe, _ = strings.Cut(recipe, "```toml\n")
	recipe, _, closed := strings.Cut(recipe, "```")
	if !found || !closed {
		t.Fatal("docs/policy.md has no recipe")
	}
	recipe = strings.ReplaceAll(strings.ReplaceAll(recipe, "example.org", "served.test"), firstWords, firstWords+" — ça")
	own := signingKey(t, keys, "gatepost1._domainkey.served.test")
	dns := dnslab.New(t, dnslab.Text(partnerZone+"example.org. MX 10 mail.example.org.\n"+partner.Record()))
	w := newWorld(t, setup{dns: dns.Addr(), clamav: "off", spamd: "off", policy: noGreylist + recipe,
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	name := filepath.Join(lab.StateDir(w.dir), "dkim", "gatepost1._domainkey.served.test.pem")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, own, 0o600); err != nil {
		t.Fatal(err)
	}
	w.knows(t, "contact", map[string]any{strings.Repeat("0", 32): map[string]any{"first": ago(15 * aDay), "last": ago(aDay), "start": true}})
	w.start(t)
	return w
}

// The words of the recipe.
const (
	firstWords    = "You never had mail of this sender before"
	externalWords = "This mail comes from outside."
)

// outsideMail is a message of a body with its own fields.
func outsideMail(author, id, fields, body string) string {
	return "From: " + author + "\r\nTo: bob@served.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: Report\r\nMessage-ID: <" + id + "@partner.example>\r\n" + fields + "\r\n" + body
}

// mailed has a partner's host send a message, and returns the copies that arrived and the reference.
func (w *world) mailed(t *testing.T, message string, rcpts ...string) (copies [][]byte, ref string) {
	t.Helper()
	w.hop(t).Forget()
	c := w.proxied(t, "proxied", from("198.51.100.20"))
	if r := c.reply(); !strings.HasPrefix(r, "220 ") {
		t.Fatalf("banner %q", r)
	}
	c.want("250", "EHLO mx.partner.example")
	c.want("250", "MAIL FROM:<bounce@example.org>")
	for _, to := range rcpts {
		c.want("250", "RCPT TO:<"+to+">")
	}
	c.want("354", "DATA")
	c.send(strings.ReplaceAll(message, "\r\n.", "\r\n..") + ".\r\n")
	ref = spoolRef(t, c.reply())
	c.want("221", "QUIT")
	for _, a := range w.hop(t).Accepted() {
		copies = append(copies, a.Body)
	}
	return copies, ref
}

// readByPython is what Python's email shows of a message.
type readByPython struct {
	Subject string
	Defects []string
	Parts   [][3]string // type, name, text
}

func readsInPython(t *testing.T, message []byte) (out readByPython) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", pythonReads)
	cmd.Stdin = bytes.NewReader(message)
	said, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(said, &out)
	}
	if err != nil {
		t.Fatalf("python3: %v of\n%s", err, message)
	}
	for i := range out.Parts {
		out.Parts[i][2] = strings.ReplaceAll(out.Parts[i][2], "\r\n", "\n")
	}
	return out
}

// TestBanners plays the recipe of docs/policy.md: a first contact has its own banner and tag, whoever is known the one of mail
// from outside, and who forges him is a first contact again. The seal over the changed copy holds by python3-dkim and says that
// the partner's signature did. Who wants no banner gets none in mail of his own; in mail to both all copies are one, and nobody
// is left out.
func TestBanners(t *testing.T) {
	t.Parallel()
	partner, err := signer.RSA("partner.example", "s1", 1024)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	w := bannerWorld(t, partner, keys)
	n := 0
	send := func(author string, signed bool, rcpts ...string) (text, subject string, copies [][]byte) {
		t.Helper()
		n++
		message := []byte(outsideMail(author, fmt.Sprint(n), "", fmt.Sprintf("Hello, number %d.\r\n", n)))
		if signed {
			if message, err = partner.Sign(message); err != nil {
				t.Fatal(err)
			}
		}
		if copies, _ = w.mailed(t, string(message), rcpts...); len(copies) == 0 {
			t.Fatal("nothing arrived")
		}
		read := readsInPython(t, copies[0])
		if len(read.Parts) != 1 || len(read.Defects) > 0 || !strings.HasSuffix(read.Parts[0][2], fmt.Sprintf("Hello, number %d.\n", n)) {
			t.Fatalf("arrived as %+v", read)
		}
		return read.Parts[0][2], read.Subject, copies
	}
	const ann = "Ann <ann@partner.example>"
	text, subject, copies := send(ann, true, "bob@served.test")
	if !strings.HasPrefix(text, firstWords+" — ça") || strings.Contains(text, externalWords) || subject != "[first contact] Report" {
		t.Errorf("first contact: %q, %q", subject, text)
	}
	if cv, seals := pythonVerifies(t, copies[0], keys); cv != "pass" || seals != 1 {
		t.Errorf("%s of %d seals", cv, seals)
	}
	if _, set, ok := strings.Cut(string(copies[0]), "\r\nARC-Authentication-Results: i=1; "); !ok || !strings.Contains(set[:min(len(set), 1500)], "dkim=pass") || !strings.Contains(set[:min(len(set), 1500)], "dmarc=pass") {
		t.Errorf("the set does not say what held before:\n%.3000s", copies[0])
	}
	for end := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) { // what was delivered is learned soon
		if text, subject, copies = send(ann, true, "bob@served.test"); subject == "Report" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("still a first contact: %q", text)
		}
	}
	if !strings.HasPrefix(text, externalWords) || strings.Contains(text, firstWords) {
		t.Errorf("known: %q", text)
	}
	if cv, _ := pythonVerifies(t, copies[0], keys); cv != "pass" {
		t.Error(cv)
	}
	if text, subject, _ = send(ann, false, "bob@served.test"); !strings.HasPrefix(text, firstWords) || subject != "[first contact] Report" {
		t.Errorf("forged: %q, %q", subject, text)
	}

	if text, _, copies = send(ann, true, "archive@served.test"); !strings.HasPrefix(text, "Hello") || strings.Contains(string(copies[0]), "ARC-") {
		t.Errorf("who wants no banner got\n%s", copies[0])
	}
	text, _, copies = send(ann, true, "archive@served.test", "bob@served.test")
	if len(copies) != 1 || !strings.HasPrefix(text, externalWords) {
		t.Errorf("%d copies, %q", len(copies), text)
	}
	for _, a := range w.hop(t).Accepted() {
		if to := fmt.Sprint(a.Rcpts); !strings.Contains(to, "archive@served.test") || !strings.Contains(to, "bob@served.test") {
			t.Errorf("it went to %s", to)
		}
	}
	if list, _ := w.command(t, 0, "quarantine", "list"); list != "" {
		t.Errorf("kept: %s", list)
	}
}

// bannerForm is a form of mail with its content as Python reads it.
type bannerForm struct {
	fields, body string
	texts        []string // that have the banner above; none: it goes on without
	same         bool     // its content goes on octet for octet
}

// TestBannerForms shows the banner in texts of odd charsets and encodings, and that what is signed or encrypted is not touched:
// openssl verifies and decrypts what arrives. Every copy that was changed is sealed, by the judgement of python3-dkim.
func TestBannerForms(t *testing.T) {
	t.Parallel()
	partner, err := signer.RSA("partner.example", "s1", 1024)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	w := bannerWorld(t, partner, keys)
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	openssl(t, "", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ann", "-days", "9999", "-keyout", key, "-out", cert)
	inner := "Content-Type: text/plain; charset=us-ascii\r\n\r\nA signed text.\r\n"
	ofOpenSSL := func(args ...string) (fields, body string) {
		text := openssl(t, inner, append([]string{"smime"}, args...)...)
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		fields, body, _ = strings.Cut(text, "\r\n\r\n")
		return fields + "\r\n", body
	}
	signedFields, signedBody := ofOpenSSL("-sign", "-signer", cert, "-inkey", key, "-crlfeol")
	sealedFields, sealedBody := ofOpenSSL("-encrypt", "-aes256", cert)
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n" }
	qp := func(text string) string {
		var b strings.Builder
		q := quotedprintable.NewWriter(&b)
		_, _ = q.Write([]byte(text))
		_ = q.Close()
		return b.String()
	}
	const v = "MIME-Version: 1.0\r\n"
	forms := map[string]bannerForm{
		"text and HTML": {fields: v + "Content-Type: multipart/alternative; boundary=x\r\n",
			body: "--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + qp("Grüße an alle\r\n") +
				"\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64("<html><body class='a>b'><p>Grüße an alle</p></body></html>\r\n") + "--x--\r\n", texts: []string{"Grüße an alle", "<p>Grüße an alle</p>"}},
		"HTML alone":                  {fields: v + "Content-Type: text/html; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n", body: qp("<p>Caf\xe9 \x80 5</p>\r\n"), texts: []string{"<p>Café € 5</p>"}},
		"KOI8-R, which has no dash":   {fields: v + "Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n", body: b64("\xf0\xd2\xc9\xd7\xc5\xd4\r\n"), texts: []string{"Привет"}},
		"ISO-2022-JP":                 {fields: v + "Content-Type: text/plain; charset=iso-2022-jp\r\n", body: "\x1b$B$3$s$K$A$O\x1b(B\r\n", texts: []string{"こんにちは"}},
		"Shift_JIS":                   {fields: v + "Content-Type: text/plain; charset=\"Shift_JIS\"\r\nContent-Transfer-Encoding: base64\r\n", body: b64("\x82\xb1\x82\xf1\r\n"), texts: []string{"こん"}},
		"format=flowed":               {fields: v + "Content-Type: text/plain; charset=us-ascii; format=flowed\r\n", body: "a line that \r\ngoes on\r\n", texts: []string{"a line that \ngoes on"}},
		"no MIME at all":              {body: "plain\r\n.dot\r\n", texts: []string{"plain\n.dot"}},
		"a charset that nobody knows": {fields: v + "Content-Type: text/plain; charset=x-unheard-of\r\n", body: "text\r\n", same: true},
		"signed by S/MIME":            {fields: signedFields, body: signedBody, same: true},
		"encrypted by S/MIME":         {fields: sealedFields, body: sealedBody, same: true},
		"encrypted by PGP": {fields: v + "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=x\r\n", same: true,
			body: "--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nwcBMA\r\n-----END PGP MESSAGE-----\r\n\r\n--x--\r\n"},
	}
	n := 0
	for name, f := range forms {
		n++
		message := outsideMail(fmt.Sprintf("a%d@partner.example", n), fmt.Sprint("form", n), f.fields, f.body)
		copies, ref := w.mailed(t, message, "bob@served.test")
		if len(copies) != 1 {
			out, _ := w.command(t, 0, "trace", ref)
			t.Errorf("%s: %d copies\n%s", name, len(copies), out)
			continue
		}
		arrived := copies[0]
		_, body, _ := strings.Cut(string(arrived), "\r\n\r\n")
		if (body == f.body) != f.same {
			t.Errorf("%s: its content is the same: %t\n%s", name, !f.same, arrived)
		}
		if cv, seals := pythonVerifies(t, arrived, keys); cv != "pass" || seals != 1 {
			t.Errorf("%s: %s of %d seals", name, cv, seals)
		}
		if f.same {
			w.awaitCommand(t, "no banner first", "trace", ref)
			if !strings.Contains(string(arrived), "\r\nSubject: [first contact] Report\r\n") {
				t.Errorf("%s: no tag in\n%s", name, arrived)
			}
			continue
		}
		read := readsInPython(t, arrived)
		texts := 0
		for _, p := range read.Parts {
			if strings.HasPrefix(p[0], "text/") && texts < len(f.texts) {
				at, banner := strings.Index(p[2], f.texts[texts]), strings.Index(p[2], firstWords)
				dash := strings.Contains(p[2], " — ça") || strings.Contains(p[2], " &#8212; &#231;a")
				if banner < 0 || at < banner || !dash || strings.Count(p[2], firstWords) != 1 {
					t.Errorf("%s: %s reads %q", name, p[0], p[2])
				}
				texts++
			}
		}
		if texts != len(f.texts) || len(read.Defects) > 0 || read.Subject != "[first contact] Report" {
			t.Errorf("%s: %+v", name, read)
		}
	}
	for what, args := range map[string][]string{"signed": {"-verify", "-noverify"}, "encrypted": {"-decrypt", "-recip", cert, "-inkey", key}} {
		f := forms[what+" by S/MIME"]
		copies, _ := w.mailed(t, outsideMail(what+"@partner.example", what, f.fields, f.body), "bob@served.test")
		if got := openssl(t, string(copies[0]), append([]string{"smime"}, args...)...); !strings.Contains(got, "A signed text.") {
			t.Errorf("%s: openssl reads %q", what, got)
		}
	}
}

// openssl runs openssl and returns what it writes.
func openssl(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/openssl", args...)
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v: %s", strings.Join(args, " "), err, said.String())
	}
	return string(out)
}
