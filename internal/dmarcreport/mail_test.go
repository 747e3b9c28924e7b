package dmarcreport

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMail: the mail is one that the standard library reads, its subject and its file's name are by the grammar of RFC 9990
// section 3.5.2, and the report is in it.
func TestMail(t *testing.T) {
	f := sample(t)
	f.ID = ID("mx.example.org", "2026-11-25", "example.com")
	report := f.XML(RFC9990)
	m := &Mail{From: "dmarc@reports.example.org", To: "d@example.com", Receiver: "mx.example.org", Date: time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC), Packed: Gzip(report)}
	raw := m.Write(f)
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 120 || bytes.ContainsAny(line, "\r\n") || bytes.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("line %q", line)
		}
	}
	read, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if date, err := read.Header.Date(); err != nil || !date.Equal(m.Date) {
		t.Errorf("%v %v", date, err)
	}
	subject := regexp.MustCompile(`^Report[ \t\r\n]+Domain:[ \t\r\n]+example\.com[ \t\r\n]+Submitter:[ \t\r\n]+mx\.example\.org[ \t\r\n]+Report-ID:[ \t\r\n]+<([a-z0-9]+)>$`)
	if got := subject.FindStringSubmatch(read.Header.Get("Subject")); len(got) != 2 || got[1] != f.ID {
		t.Errorf("%q", read.Header.Get("Subject"))
	}
	if read.Header.Get("Auto-Submitted") != "auto-generated" || read.Header.Get("Message-Id") != "<"+f.ID+"@reports.example.org>" {
		t.Errorf("%v", read.Header)
	}
	_, params, err := mime.ParseMediaType(read.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(read.Body, params["boundary"])
	for _, want := range []string{"text/plain", "application/gzip"} {
		p, err := parts.NextPart()
		if err != nil || !strings.HasPrefix(p.Header.Get("Content-Type"), want) {
			t.Fatalf("%v %v", p, err)
		}
		if want != "application/gzip" {
			continue
		}
		if name := p.FileName(); name != "mx.example.org!example.com!1795564800!1795651199!"+f.ID+".xml.gz" {
			t.Errorf("%q", name)
		}
		unpacked, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, p))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(got, report) {
			t.Errorf("%v\n%s", err, got)
		}
	}
	if again := m.Write(f); !bytes.Equal(again, raw) || !bytes.Equal(Gzip(report), m.Packed) {
		t.Error("sent again it is another mail")
	}
}

// TestID: the same of the same, another of anything else, and nothing but letters and digits.
func TestID(t *testing.T) {
	seen := map[string]bool{}
	for _, of := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", "b"}, {"ab"}, {"1:a"}, {"a", "b", ""}} {
		id := ID(of...)
		if seen[id] || id != ID(of...) || !regexp.MustCompile(`^[a-z0-9]{26}$`).MatchString(id) {
			t.Errorf("%q: %s", of, id)
		}
		seen[id] = true
	}
}
