package digest

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

func testMail() *Mail {
	at := time.Date(2026, 11, 26, 22, 30, 0, 0, time.UTC)
	row := func(id gateway.ID, class quarantine.Class, from, author string) quarantine.Row {
		return quarantine.Row{ID: id, Arrived: at, Class: class, From: from, Author: author, Subject: "never shown"}
	}
	return &Mail{Host: "mx.served.test", From: "postmaster@served.test", To: "bob@served.test", Date: now(), Rows: []quarantine.Row{
		row(7<<20, quarantine.Spam, "bounce@example.org", "Alice <alice@example.net>"),
		row(6<<20, quarantine.Malware, "x@example.org", "x@example.org"),
		row(5<<20, quarantine.DMARC, "", "bank@example.com"),
		row(4<<20, quarantine.Impersonation, "y@example.org", ""),
		row(3<<20, quarantine.Attachment, "z@example.org", "z@example.org"),
		row(2<<20, quarantine.Unscanned, "z@example.org", "z@example.org"),
		row(1<<20, quarantine.Other, "z@example.org", "z@example.org"),
		row(1, quarantine.Spam, "\"a\r\nBcc: v@x.test\"@example.org", "\"</td><script>alert(1)</script>\" <a@\u202eexample.org>\r\nX: y, https://evil.test/ www.evil.test"),
	}, Link: func(id gateway.ID) string { return "https://q.served.test/release/T" + id.String() + "?a&b\"" }, Until: now().Add(72 * time.Hour)}
}

// parts reads a digest back.
func parts(t *testing.T, m *Mail) (h mail.Header, text, html string) {
	t.Helper()
	raw, _ := m.Make()
	if strings.Contains(strings.ReplaceAll(string(raw), "\r\n", ""), "\n") || strings.Contains(strings.ReplaceAll(string(raw), "\r\n", ""), "\r") {
		t.Error("a bare CR or LF")
	}
	for line := range strings.SplitSeq(string(raw), "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
	msg, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	var out []string
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.Header.Get("Content-Type")+"\n"+strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	if len(out) != 2 {
		t.Fatalf("%d parts", len(out))
	}
	return msg.Header, out[0], out[1]
}

// TestGolden holds the two parts against files: what is said, in both languages, and what of strangers' words is left of them.
func TestGolden(t *testing.T) {
	for _, language := range Languages() {
		m := testMail()
		m.Language = language
		_, text, html := parts(t, m)
		for ext, got := range map[string]string{"txt": text, "html": html} {
			name := filepath.Join("testdata", "digest."+language+"."+ext)
			if os.Getenv("GOLDEN") != "" {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil || string(want) != got {
				t.Errorf("%s: %v; with GOLDEN=1 it is written anew. Got:\n%s", name, err, got)
			}
		}
	}
}

// TestHostile: nothing that strangers wrote becomes a field, an element, a link or a change of direction, and no subject is there.
func TestHostile(t *testing.T) {
	h, text, html := parts(t, testMail())
	var names []string
	for name := range h {
		names = append(names, name)
	}
	if len(names) != 8 {
		t.Errorf("fields are %v", names)
	}
	if h.Get("Auto-Submitted") != "auto-generated" || h.Get("Subject") != "8 messages in quarantine" {
		t.Errorf("%v", h)
	}
	for _, part := range []string{text, html} {
		for _, bad := range []string{"never shown", "\u202e", "www.evil", "//evil", "\nBcc", "\nX:"} {
			if strings.Contains(part, bad) {
				t.Errorf("there is %q in\n%s", bad, part)
			}
		}
		if n := strings.Count(part, "https://q.served.test/release/T"); n != 2 { // of spam only
			t.Errorf("%d links in\n%s", n, part)
		}
	}
	for _, tag := range regexp.MustCompile(`<(/?[a-z]+)([^>]*)>`).FindAllStringSubmatch(html, -1) {
		switch strings.TrimPrefix(tag[1], "/") {
		case "html", "head", "body", "p", "hr", "table", "tr", "td", "bdi", "meta":
		case "a":
			if tag[2] != "" && !regexp.MustCompile(`^ href="https://q\.served\.test/release/T[-A-Z0-9]+\?a&amp;b&#34;" style="[-a-z0-9:;# ]+"$`).MatchString(tag[2]) {
				t.Errorf("a link %q", tag[2])
			}
		default:
			t.Errorf("an element %q", tag[0])
		}
	}
}

// TestWithoutLinks: where there is no page, nothing is said of links.
func TestWithoutLinks(t *testing.T) {
	m := testMail()
	m.Link = nil
	_, text, html := parts(t, m)
	for _, part := range []string{text, html} {
		if strings.Contains(part, "q.served.test") || strings.Contains(part, "links") || strings.Count(part, "Ask your administrator") != len(m.Rows) {
			t.Error(part)
		}
	}
}

// TestName: a digest that is sent again has the same Message-ID, and one of other messages has another.
func TestName(t *testing.T) {
	id := func(change func(*Mail)) string {
		m := testMail()
		change(m)
		h, _, _ := parts(t, m)
		return h.Get("Message-ID")
	}
	same := id(func(*Mail) {})
	if id(func(m *Mail) { m.Date = m.Date.Add(time.Hour) }) != same {
		t.Error("the time changes it")
	}
	for i, change := range []func(*Mail){func(m *Mail) { m.To = "eve@served.test" }, func(m *Mail) { m.More = 1 }, func(m *Mail) { m.Rows = m.Rows[1:] }} {
		if id(change) == same {
			t.Errorf("change %d does not change it", i)
		}
	}
}

// FuzzMail: whatever strangers write, the mail has its eight fields, two parts, and no element or link of theirs.
func FuzzMail(f *testing.F) {
	f.Add("a@example.org", "A <a@example.org>")
	f.Add("\r\n\r\n--=_digest_", "<img src=http://x>\u2066")
	f.Add("=?utf-8?q?x?=", strings.Repeat("\xff", 300))
	f.Fuzz(func(t *testing.T, from, author string) {
		m := testMail()
		m.Rows = m.Rows[:1]
		m.Rows[0].From, m.Rows[0].Author = from, author
		h, text, html := parts(t, m)
		if len(h) != 8 || strings.Count(html, "<") != strings.Count(html, ">") || strings.Count(html, "<a ") != 1 || strings.Count(html+text, "://") != 2 {
			t.Error(fmt.Sprint(h), html)
		}
	})
}
