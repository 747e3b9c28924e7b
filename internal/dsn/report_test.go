package dsn

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// message is one as it came, with our own fields on top.
const message = "Received: from mx.sender.example by mx.example.org;\r\n\tThu, 26 Nov 2026 10:00:00 +0000\r\nFrom: <anna@sender.example>\r\n" +
	"Subject: hello\r\n\r\nbody\r\n.dots\r\n"

// report is a plain one, which tests change.
func report() *Report {
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	return &Report{Hostname: "mx.example.org", Language: "en", Reference: "K7Q29-FXM3T-BN5C", To: "anna@sender.example", Arrived: at,
		Date: at.Add(time.Hour), Message: strings.NewReader(message),
		Rcpts: []Rcpt{{Final: "bob@example.org", Status: "5.1.1", Code: 550, Said: "5.1.1 No such user", LastTry: at.Add(50 * time.Minute)}}}
}

// part is one of a multipart, decoded.
type part struct {
	kind   string
	header textproto.MIMEHeader
	text   string
}

// read takes a notice apart as a receiver does.
func read(t *testing.T, n Notice) (mail.Header, []part) {
	t.Helper()
	passable(t, n)
	m, err := mail.ReadMessage(bytes.NewReader(n.Mail))
	if err != nil {
		t.Fatalf("%v in\n%.3000s", err, n.Mail)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %q: %v", m.Header.Get("Content-Type"), err)
	}
	var parts []part
	for all := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := all.NextRawPart()
		if err == io.EOF {
			return m.Header, parts
		}
		if err != nil {
			t.Fatalf("%v in\n%.3000s", err, n.Mail)
		}
		text, err := io.ReadAll(p)
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			text, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(text)))
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		parts = append(parts, part{kind, p.Header, string(text)})
	}
}

// passable shows that every server can take a notice: its lines, its octets.
func passable(t *testing.T, n Notice) {
	t.Helper()
	if !passes(n.Mail, n.UTF8) || !bytes.HasSuffix(n.Mail, []byte("\r\n")) {
		t.Fatalf("a notice that is not made of short lines of its own letters:\n%.2000q", n.Mail)
	}
}

func made(t *testing.T, r *Report) Notice {
	t.Helper()
	n, err := r.Make()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMake(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *Report)
		kinds  string   // of the parts
		status []string // lines that must be there; "!" before one that must not
		back   string   // the beginning of the third part
	}{
		{"plain", func(r *Report) {}, "text/plain message/delivery-status text/rfc822-headers",
			[]string{"Reporting-MTA: dns; mx.example.org", "Arrival-Date: Thu, 26 Nov 2026 10:00:00 +0000", "Final-Recipient: rfc822; bob@example.org",
				"Action: failed", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 No such user", "Last-Attempt-Date: Thu, 26 Nov 2026 10:50:00 +0000",
				"!Original-Recipient", "!Original-Envelope-Id", "!Remote-MTA"}, message[:strings.Index(message, "\r\n\r\n")]},
		{"envelope id and original recipient", func(r *Report) { r.EnvID, r.Rcpts[0].Original = "a+2Bb", "rfc822;Robert+40example.org" },
			"text/plain message/delivery-status text/rfc822-headers", []string{"Original-Envelope-Id: a+b", "Original-Recipient: rfc822; Robert@example.org"}, ""},
		{"xtext that brings fields of its own", func(r *Report) {
			r.EnvID, r.Rcpts[0].Original = "a+0D+0AAction:+20delivered", "rfc822;a+0D+0AStatus:+202.0.0"
		},
			"text/plain message/delivery-status text/rfc822-headers", []string{"!Original-Envelope-Id", "!Original-Recipient", "!Action: delivered", "!Status: 2.0.0"}, ""},
		{"an answer that does", func(r *Report) { r.Rcpts[0].Said = "5.1.1 no\r\nAction: delivered\r\n\r\n--=_notice" },
			"text/plain message/delivery-status text/rfc822-headers", []string{"Action: failed", "!Action: delivered"}, ""},
		{"nobody answered", func(r *Report) { r.Rcpts[0] = Rcpt{Final: "bob@example.org", Status: "4.4.1"} },
			"text/plain message/delivery-status text/rfc822-headers", []string{"Status: 4.4.1", "!Diagnostic-Code", "!Last-Attempt-Date"}, ""},
		{"a status that says delivered", func(r *Report) { r.Rcpts[0].Status = "2.0.0" }, "text/plain message/delivery-status text/rfc822-headers", []string{"Status: 5.0.0"}, ""},
		{"whole", func(r *Report) { r.Full = true }, "text/plain message/delivery-status message/rfc822", nil, message},
		{"whole, but of 8 bit", func(r *Report) { r.Full, r.Message = true, strings.NewReader(message+"\xe4\r\n") },
			"text/plain message/delivery-status text/rfc822-headers", nil, "Received: from mx.sender.example"},
		{"whole, but too big", func(r *Report) {
			r.Full, r.Message = true, io.MultiReader(strings.NewReader(message), strings.NewReader(strings.Repeat("x\r\n", maxCopy)))
		},
			"text/plain message/delivery-status text/rfc822-headers", nil, "Received: from mx.sender.example"},
		{"a header of 8 bit", func(r *Report) { r.Message = strings.NewReader("Subject: gr\xfc\xdfe\r\n\r\nx") },
			"text/plain message/delivery-status text/rfc822-headers", nil, "Subject: gr\xfc\xdfe\r\n"},
		{"an endless line", func(r *Report) { r.Message = strings.NewReader("Subject: " + strings.Repeat("x", 3*maxCopy)) },
			"text/plain message/delivery-status text/rfc822-headers", nil, "Subject: xxxx"},
		{"without fields of our own", func(r *Report) {
			r.Full, r.Drop = true, []string{"X-Spam-", "X-Gatepost-"}
			r.Message = strings.NewReader("x-spam-status: No,\r\n\tscore=4.7\r\nFrom: <a@b.example>\r\nX-GATEPOST-Verdict: tag\r\nX-Spa: m\r\n\r\nX-Spam-Score: 1\r\n")
		}, "text/plain message/delivery-status message/rfc822", nil, "From: <a@b.example>\r\nX-Spa: m\r\n\r\nX-Spam-Score: 1"},
		{"nothing but which mail it was", func(r *Report) {
			r.Full, r.Only = true, []string{"Message-ID:", "Date:"}
			r.Message = strings.NewReader("Subject: secret\r\n\tmessage-id: <not@this>\r\nDATE: today\r\nMessage-ID-Also: no\r\nMessage-ID:\r\n <1@b.example>\r\nTo: a@b.example\r\n\r\nsecret\r\n")
		}, "text/plain message/delivery-status text/rfc822-headers", nil, "DATE: today\r\nMessage-ID:\r\n <1@b.example>\r\n"},
		{"no header section", func(r *Report) { r.Message = strings.NewReader("\r\nbody") }, "text/plain message/delivery-status", nil, ""},
		{"no message", func(r *Report) { r.Message = nil }, "text/plain message/delivery-status", nil, ""},
		{"internationalized", func(r *Report) {
			r.UTF8, r.To, r.Rcpts[0].Final = true, "änna@sender.example", "jörg@example.org"
			r.Rcpts[0].Original, r.Message = `utf-8;jörg@example.org`, strings.NewReader("Subject: grüße\r\n\r\nx")
		}, "text/plain message/global-delivery-status message/global-headers",
			[]string{"Final-Recipient: utf-8; jörg@example.org", "Original-Recipient: utf-8; jörg@example.org"}, "Subject: grüße"},
		{"internationalized, to a sender who does not take that", func(r *Report) { r.Rcpts[0].Final = "jörg@example.org" },
			"text/plain message/delivery-status text/rfc822-headers", []string{`Final-Recipient: utf-8; j\x{F6}rg@example.org`}, ""},
		{"SMTPUTF8 with addresses of ASCII", func(r *Report) { r.UTF8 = true }, "text/plain message/delivery-status text/rfc822-headers", []string{"Final-Recipient: rfc822; bob@example.org"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := report()
			c.change(r)
			n := made(t, r)
			h, parts := read(t, n)
			var kinds []string
			for _, p := range parts {
				kinds = append(kinds, p.kind)
			}
			if got := strings.Join(kinds, " "); got != c.kinds {
				t.Fatalf("parts %s, want %s\n%.3000s", got, c.kinds, n.Mail[:min(len(n.Mail), 3000)])
			}
			if to, err := mail.ParseAddress(h.Get("To")); err != nil || to.Address != r.To {
				t.Errorf("To %q: %v", h.Get("To"), err)
			}
			if h.Get("Auto-Submitted") != "auto-replied" || h.Get("From") != "Mail Delivery System <postmaster@mx.example.org>" {
				t.Errorf("header %v", h)
			}
			lines := strings.Split(parts[1].text, "\r\n")
			for _, want := range c.status {
				want, not := strings.CutPrefix(want, "!")
				found := false
				for _, line := range lines {
					found = found || line == want || not && strings.HasPrefix(line, want)
				}
				if found == not {
					t.Errorf("status: %q found %v in\n%s", want, found, parts[1].text)
				}
			}
			if c.back != "" && !strings.HasPrefix(parts[2].text, c.back) {
				t.Errorf("returned %.200q, want %.200q", parts[2].text, c.back)
			}
			if r.Only != nil && strings.TrimSpace(parts[2].text) != strings.TrimSpace(c.back) {
				t.Errorf("returned %q, want no more than %q", parts[2].text, c.back)
			}
		})
	}
}

// TestLanguages shows that each language has all texts, and English below it.
func TestLanguages(t *testing.T) {
	for _, name := range []string{"en", "de", "fr", "es", "it", "pt", "nl", "pl"} {
		w, ok := languageOf(name)
		if !ok || w.Subject == "" || w.Answer == "" || w.Late == "" || strings.Count(w.Lead, "%s") != 1 || strings.Count(w.Over, "%s") != 1 {
			t.Errorf("%s: %+v", name, w)
		}
		r := report()
		r.Language = name
		r.Rcpts = append(r.Rcpts, Rcpt{Final: "carol@example.org", Status: "4.4.1"})
		h, parts := read(t, made(t, r))
		for _, want := range []string{w.Answer, w.Late, "<bob@example.org>", "550 5.1.1 No such user", "K7Q29-FXM3T-BN5C", "It is not tried again."} {
			if !strings.Contains(parts[0].text, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, parts[0].text)
			}
		}
		if subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); err != nil || subject != w.Subject {
			t.Errorf("%s: subject %q: %v", name, subject, err)
		}
	}
	r := report()
	r.Language = "tlh"
	if _, parts := read(t, made(t, r)); strings.Contains(parts[0].text, "-- English --") || !strings.Contains(parts[0].text, "It is not tried again.") {
		t.Errorf("an unknown language is not English:\n%s", parts[0].text)
	}
}

func TestHide(t *testing.T) {
	names, domains := []string{"mail01.inside.example", "192.0.2.10", "mail"}, []string{"example.org"}
	for _, c := range []struct{ said, want string }{
		{"5.1.1 <bob@example.org>: Recipient address rejected: User unknown", "5.1.1 <bob@example.org>: Recipient address rejected: User unknown"},
		{"5.2.2 mailbox full (mail01.inside.example)", "5.2.2 mailbox full ([...])"},
		{"5.2.2 MAIL01 says no", "5.2.2 [...] says no"},
		{"no mail for you", "no mail for you"},
		{"queue on EX-7.corp.local: full", "queue on [...]: full"},
		{"refused by 10.1.2.3:25 and [fd00::1]", "refused by [...] and [[...]]"},
		{"refused by 203.0.113.9", "refused by 203.0.113.9"},
		{"store7.example.org is full", "[...] is full"},
		{"example.org has no such user; see https://help.example.net/a", "example.org has no such user; see https://help.example.net/a"},
		{"for bob@mail01.inside.example", "for bob@mail01.inside.example"},
		{"12.12.12", "12.12.12"},
		{"", ""},
	} {
		if got := Hide(c.said, names, domains); got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.said, got, c.want)
		}
	}
}

// python reads a notice with the email package of Python, as many receivers' programs do, and prints what it finds.
const python = `
import email, email.policy, json, sys
out = []
for blob in json.load(sys.stdin):
    m = email.message_from_bytes(blob.encode("latin-1"), policy=email.policy.default)
    found = {"type": m.get_content_type(), "report": m.get_param("report-type"), "defects": [str(d) for d in m.defects], "parts": [], "status": []}
    for part in m.iter_parts():
        found["parts"].append(part.get_content_type())
        found["defects"] += [part.get_content_type() + ": " + type(d).__name__ for d in part.defects]
        if part.get_content_type() == "message/delivery-status":
            found["status"] = [dict(block.items()) for block in part.get_payload()]
    out.append(found)
json.dump(out, sys.stdout)
`

// TestPython shows that Python's email package finds in notices what was put there, with no defect.
func TestPython(t *testing.T) {
	hostile := report()
	hostile.Language, hostile.EnvID = "pl", "QQ314159"
	hostile.Rcpts[0].Said = strings.Repeat("very long words ", 60) + strings.Repeat("y", 900)
	hostile.Rcpts = append(hostile.Rcpts, Rcpt{Final: `"a b"@example.org`, Original: "rfc822;a+20b@example.org", Status: "5.2.2", Code: 552, Said: "full"})
	hostile.Message = strings.NewReader("Subject: \xff\x00\x01\r\n--=_notice_K7Q29-FXM3T-BN5C--\r\n\r\nx")
	var blobs []string
	for _, r := range []*Report{report(), hostile} {
		n := made(t, r)
		passable(t, n)
		blobs = append(blobs, string(n.Mail))
	}
	in, err := json.Marshal(blobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", python)
	cmd.Stdin = bytes.NewReader(in)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3 (Debian: python3): %v", err)
	}
	var found []struct {
		Type, Report string
		Defects      []string
		Parts        []string
		Status       []map[string]string
	}
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		if f.Type != "multipart/report" || f.Report != "delivery-status" || len(f.Defects) > 0 ||
			strings.Join(f.Parts, " ") != "text/plain message/delivery-status text/rfc822-headers" {
			t.Errorf("notice %d: %+v\n%s", i, f, blobs[i])
		}
	}
	if s := found[1].Status; len(s) != 3 || s[0]["Original-Envelope-Id"] != "QQ314159" || s[1]["Status"] != "5.1.1" ||
		s[2]["Final-Recipient"] != `rfc822; "a b"@example.org` || s[2]["Original-Recipient"] != "rfc822; a b@example.org" || s[2]["Diagnostic-Code"] != "smtp; 552 full" {
		t.Errorf("status %v", s)
	}
}

// FuzzReport shows that no message, answer, address or parameter of a stranger breaks the form of a notice, adds a field or a
// part, or makes it bigger than its bound.
func FuzzReport(f *testing.F) {
	f.Add(message, "550 no", "bob@example.org", "rfc822;bob+40example.org", "id", "de", true, false)
	f.Add("Subject: \xff\xfe\r\r\n\n\x00", "a\r\nAction: delivered", "jörg@example.org", "utf-8;jörg", "+0D+0A", "en", true, true)
	f.Add(strings.Repeat("X: y\r\n", 20), strings.Repeat("z", 1500), "\"a\\\"b\"@example.org", ";;;", "", "pl", false, true)
	f.Add("--=_notice_K7Q29-FXM3T-BN5C\r\n\r\n--=_notice_K7Q29-FXM3T-BN5C--\r\n", "--=_notice_K7Q29-FXM3T-BN5C", "a@b", "x", "y", "", true, false)
	f.Fuzz(func(t *testing.T, msg, said, final, orcpt, envid, language string, full, global bool) {
		if final == "" || len(final) > 320 || !utf8.ValidString(final) || strings.ContainsFunc(final, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return // an address was parsed before it came here
		}
		r := report()
		r.Message, r.Full, r.UTF8, r.EnvID, r.Language = strings.NewReader(msg), full, global, envid, language
		r.Rcpts[0].Said, r.Rcpts[0].Final, r.Rcpts[0].Original = said, final, orcpt
		n := made(t, r)
		_, parts := read(t, n)
		if len(parts) < 2 || len(parts) > 3 || len(n.Mail) > 4*maxCopy {
			t.Fatalf("%d parts, %d octets", len(parts), len(n.Mail))
		}
		actions := 0
		for block := range strings.SplitSeq(strings.TrimSuffix(parts[1].text, "\r\n"), "\r\n\r\n") {
			h, err := textproto.NewReader(bufferOf(block + "\r\n\r\n")).ReadMIMEHeader()
			if err != nil {
				t.Fatalf("%v in\n%s", err, parts[1].text)
			}
			actions += len(h["Action"])
			if h.Get("Action") != "" && h.Get("Action") != "failed" {
				t.Fatalf("action %q", h.Get("Action"))
			}
		}
		if actions != 1 {
			t.Fatalf("%d actions in\n%s", actions, parts[1].text)
		}
	})
}

func bufferOf(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
