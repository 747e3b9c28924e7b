package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// contentPolicy says what this test is about, and its rules have lines that the trace must name.
const contentPolicy = `
[[domain]]
name = "whole.test"
route = "internal"
edits = false

[[group]]
name = "sales"
members = ["bob@served.test", "whole.test"]

[[banner]]
name = "external"
text = "This mail comes from outside."

[[rule]]
name = "programs out"
to = ["sales"]
check = ["attachments.type"]
action = "strip"

[[rule]]
name = "programs kept"
check = ["attachments.type"]
action = "quarantine"

[[rule]]
name = "outside"
action = "accept"
banner = "external"
subject = "[external]"

[checks.shape]
action = "off"

[arc]
seal = "changed"
domain = "served.test"
selector = "gatepost1"
`

// programMail is a letter as text and HTML, with a PDF and an archive that holds a program.
func programMail(t *testing.T) string {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	f, err := z.Create("a.exe")
	if err == nil {
		_, err = f.Write(append([]byte("MZ\x90\x00\x03"), make([]byte, 100)...))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	part := func(header string, content []byte) string {
		text := "--b\r\n" + header + "\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		for s := base64.StdEncoding.EncodeToString(content); s != ""; {
			n := min(76, len(s))
			text, s = text+s[:n]+"\r\n", s[n:]
		}
		return text
	}
	return "From: <alice@example.org>\r\nTo: bob@served.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <content@example.org>\r\nSubject: Report\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n" +
		"--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello Bob\r\n--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>Hello Bob</p></body></html>\r\n--c--\r\n" +
		part("Content-Type: application/pdf; name=r.pdf\r\nContent-Disposition: attachment; filename=r.pdf", []byte("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n")) +
		part("Content-Type: application/zip; name=x.zip\r\nContent-Disposition: attachment; filename=x.zip", archive.Bytes()) + "--b--\r\n"
}

// pythonReads is what Python's email makes of a message.
const pythonReads = `
import email, email.policy, json, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(m.walk())
print(json.dumps({"subject": m["Subject"], "defects": [repr(d) for p in parts for d in p.defects],
  "parts": [[p.get_content_type(), p.get_filename() or "", p.get_content() if p.get_content_maintype() == "text" else ""] for p in parts]}))
`

// TestContent plays one message with a program in an archive to three recipients of whom three things hold: who is in the group
// gets it without, with a notice, a banner and a seal; who is not has it in quarantine, and so has who wants nothing changed.
// The trace names rules and where they stand. While malware is found in it, it is not released without force.
func TestContent(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	own := signingKey(t, keys, "gatepost1._domainkey.served.test")
	w := newWorld(t, setup{dns: dnslab.New(t, sealZone(keys)).Addr(), policy: noGreylist + contentPolicy,
		routes: []route{{name: "internal", domains: []string{"served.test"}}}})
	name := filepath.Join(lab.StateDir(w.dir), "dkim", "gatepost1._domainkey.served.test.pem")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, own, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	sent := programMail(t)
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	for _, to := range []string{"bob@served.test", "eve@served.test", "ann@whole.test"} {
		c.want("250", "RCPT TO:<"+to+">")
	}
	c.want("354", "DATA")
	c.send(sent + ".\r\n")
	ref := spoolRef(t, c.reply())

	all := w.hop(t).Accepted()
	if len(all) != 1 {
		t.Fatalf("%d copies arrived", len(all))
	}
	if cv, n := pythonVerifies(t, all[0].Body, keys); cv != "pass" || n != 1 {
		t.Errorf("%s of %d seals", cv, n)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", pythonReads)
	cmd.Stdin = bytes.NewReader(all[0].Body)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Subject string
		Defects []string
		Parts   [][3]string
	}
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	if read.Subject != "[external] Report" || len(read.Defects) != 0 {
		t.Errorf("subject %q, defects %v", read.Subject, read.Defects)
	}
	texts, pdf, notice := 0, false, false
	for _, p := range read.Parts {
		if strings.Contains(p[2], "Hello Bob") && strings.Contains(p[2], "This mail comes from outside.") {
			texts++
		}
		pdf = pdf || p[0] == "application/pdf" && p[1] == "r.pdf"
		notice = notice || strings.Contains(p[2], "x.zip") && strings.Contains(p[2], ref)
		if p[0] == "application/zip" {
			t.Error("the archive is there")
		}
	}
	if texts != 2 || !pdf || !notice {
		t.Errorf("%d texts have the banner, PDF %t, notice %t:\n%s", texts, pdf, notice, out)
	}

	for _, to := range []string{"eve@served.test", "ann@whole.test"} {
		if list, _ := w.command(t, 0, "quarantine", "list", "--rcpt", to); !strings.Contains(list, ref) {
			t.Errorf("%s: %s", to, list)
		}
	}
	if list, _ := w.command(t, 0, "quarantine", "list", "--rcpt", "bob@served.test"); strings.Contains(list, ref) {
		t.Errorf("bob: %s", list)
	}
	w.awaitCommand(t, "attachments.type", "trace", ref)
	story, _ := w.command(t, 0, "trace", ref)
	for _, want := range []string{"programs out", "programs kept", `policy\.toml:\d+`, `x\.zip > a\.exe`} {
		if !regexp.MustCompile(want).MatchString(story) {
			t.Errorf("no %s in the trace:\n%s", want, story)
		}
	}

	w.clamd.On("INSTREAM", lab.Action{Bytes: []byte("stream: Win.Trojan.Later-1 FOUND\x00"), Then: lab.Close})
	if _, said := w.command(t, 1, "quarantine", "release", ref, "--only", "eve@served.test"); !strings.Contains(said, "malware was found in it: Win.Trojan.Later-1") {
		t.Errorf("infected: %s", said)
	}
	w.command(t, 0, "quarantine", "release", ref, "--only", "eve@served.test", "--force")
	if all = w.hop(t).Accepted(); len(all) != 2 || !strings.HasSuffix(string(all[1].Body), sent[strings.Index(sent, "\r\n\r\n"):]) {
		t.Errorf("%d copies; the last is not whole", len(all))
	}
}
