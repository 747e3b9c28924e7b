package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// hookServer is a hook that wants signed requests. Its fault, if any, is what it answers instead.
type hookServer struct {
	*httptest.Server
	fault    atomic.Pointer[string]
	unsigned atomic.Int32
}

func startHook(t *testing.T, secret string) *hookServer {
	h := &hookServer{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
		at, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Gatepost-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "."))
		mac.Write(body)
		if err != nil || sum != hex.EncodeToString(mac.Sum(nil)) {
			h.unsigned.Add(1)
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		answer := `{"result": "pass", "evidence": [{"name": "seen", "text": "by crm"}]}`
		if bytes.Contains(body, []byte(`left@served.test`)) {
			answer = `{"result": "fail", "text": "this person has left", "hint": "reject"}`
		}
		if f := h.fault.Load(); f != nil {
			answer = *f
		}
		io.WriteString(rw, answer)
	}))
	t.Cleanup(h.Close)
	return h
}

// zippedMail is a message with an archive that holds a file.
func zippedMail(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("notes.txt")
	if err == nil {
		_, err = io.WriteString(f, content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return "From: alice@example.org\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: notes\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: application/zip; name=\"notes.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(b.Bytes()) + "\r\n"
}

// anyRef is a reference in a reply, whatever its code.
var anyRef = regexp.MustCompile(`[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{4}`)

// asked sends a whole message and returns the last reply and the journal's line.
func (w *world) asked(t *testing.T, rcpt, message string) (string, event) {
	t.Helper()
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<"+rcpt+">")
	c.want("354", "DATA")
	c.send(message + ".\r\n")
	said := c.reply()
	c.want("221", "QUIT")
	ref := anyRef.FindString(said)
	if ref == "" {
		t.Fatalf("no reference in %q", said)
	}
	return said, w.awaitEvent(t, "transaction", "id="+ref)
}

// TestEngines shows one daemon with every engine: what each says is told, and that each may be away without the others.
func TestEngines(t *testing.T) {
	t.Parallel()
	daemon := labtest.Clamd(t, lab.ClamdOptions{})
	scanner := labtest.ICAP(t, lab.ICAPOptions{Clamd: daemon.Socket})
	rspamd := labtest.Rspamd(t, lab.RspamdOptions{})
	secret := filepath.Join(labtest.Dir(t), "hook.secret") // outside of the folders that the daemon writes
	if err := os.WriteFile(secret, []byte("of the lab\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	hook := startHook(t, "of the lab")
	w := begin(t, setup{policy: noGreylist + "[checks.attachments.type]\naction = \"reject\"\n", bootstrap: fmt.Sprintf("[rspamd]\naddresses = [%q]\ntimeout = \"2s\"\n[icap]\naddresses = [%q]\ntimeout = \"2s\"\n"+
		"[[milter]]\nname = \"proxy\"\naddresses = [%q]\ntimeout = \"2s\"\n[[hook]]\nname = \"crm\"\nurl = %q\nsecret_file = %q\ntimeout = \"2s\"\n",
		rspamd.Addr, scanner.Addr, rspamd.Milter, hook.URL, secret)})
	w.partIs(t, "sandbox", "landlock version")

	clean := head + "Shall we meet at noon?\r\n"
	said, e := w.asked(t, "bob@served.test", clean)
	if !strings.HasPrefix(said, "250 2.0.0") {
		t.Errorf("clean: %q", said)
	}
	if err := e.check([]string{"findings~icap,pass", "findings~rspamd,pass", "findings~milter,pass", "findings~hook,pass"}); err != nil {
		t.Errorf("clean: %v, in\n%s", err, show([]event{e}))
	}
	ref := spoolRef(t, said)
	for _, want := range []string{"rspamd", ", score ", "milter proxy", "hook crm", "by crm", "C-ICAP/"} {
		w.awaitCommand(t, want, "trace", ref)
	}
	for _, args := range [][]string{{"status"}, {"check", "--live"}} {
		for _, want := range []string{rspamd.Addr, scanner.Addr, rspamd.Milter, hook.URL} {
			w.awaitCommand(t, want, args...)
		}
	}
	if _, text, err := w.daemon.Get(t.Context(), "/metrics"); err != nil || !strings.Contains(text, "scanner_up_icap") || !strings.Contains(text, "scanner_up_rspamd") {
		t.Errorf("metrics name no engine: %v", err)
	}

	said, e = w.asked(t, "bob@served.test", zippedMail(t, lab.EICAR()))
	// Engines are asked beside one another, so that the others have looked as well.
	if err := e.check([]string{"verdict=reject", "check=icap", "reason=malware.found", "findings~icap,fail", "findings~clamav,pass", "findings~hook,pass"}); err != nil || !strings.HasPrefix(said, "550 5.7.1") || !strings.Contains(said, "Eicar-Test-Signature") {
		t.Errorf("EICAR: %q, %v, in\n%s", said, err, show([]event{e}))
	}
	// What a cheap check refuses is shown to none of them.
	said, e = w.asked(t, "bob@served.test", strings.Replace(zippedMail(t, "text"), "notes.zip", "run.exe", 1))
	if err := e.check([]string{"verdict=reject", "findings~icap,not run", "findings~rspamd,not run", "findings~milter,not run", "findings~hook,not run"}); err != nil || !strings.HasPrefix(e.text("check"), "attachments.") || !strings.HasPrefix(said, "55") {
		t.Errorf("a program: %q, %v, in\n%s", said, err, show([]event{e}))
	}
	said, e = w.asked(t, "bob@served.test", head+lab.GTUBE()+"\r\n")
	if err := e.check([]string{"findings~rspamd,fail", "findings~milter,fail"}); err != nil || !strings.HasPrefix(said, "554 5.7.1") || !strings.Contains(strings.ToLower(said), "gtube") {
		t.Errorf("GTUBE: %q, %v, in\n%s", said, err, show([]event{e}))
	}
	said, e = w.asked(t, "left@served.test", clean)
	if err := e.check([]string{"verdict=quarantine", "check=hook", "reason=hook.refused"}); err != nil {
		t.Errorf("hook: %q, %v, in\n%s", said, err, show([]event{e}))
	}

	garbage := "<html>"
	hook.fault.Store(&garbage)
	w.away(t, "hook", "250 2.0.0", "tag")
	hook.fault.Store(nil)
	for _, p := range []struct {
		check string
		*lab.Process
	}{{"icap", scanner.Process}, {"milter", rspamd.Process}} {
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		w.away(t, p.check, "451 4.7.1", "defer")
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		if said, _ := w.asked(t, "bob@served.test", clean); !strings.HasPrefix(said, "250 2.0.0") {
			t.Errorf("after %s came back: %q", p.check, said)
		}
	}
	if n := hook.unsigned.Load(); n != 0 {
		t.Errorf("%d requests were not signed with the file's key", n)
	}
}

// away sends a message that one engine cannot judge.
func (w *world) away(t *testing.T, check, want, verdict string) {
	t.Helper()
	said, e := w.asked(t, "bob@served.test", head+"Shall we meet at one?\r\n")
	if err := e.check([]string{"verdict=" + verdict, "findings~" + check + ",unknown"}); err != nil || !strings.HasPrefix(said, want) {
		t.Errorf("%s away: %q, %v, in\n%s", check, said, err, show([]event{e}))
	}
}
