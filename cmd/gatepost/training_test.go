package main

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// learning is what learns from mail under two documents.
func learning(t *testing.T, bootstrap, policy string) (teacher, error) {
	t.Helper()
	b, ps := config.DecodeBootstrap(config.BootstrapFile, []byte(bootstrap))
	if ps.Refused() {
		t.Fatal(ps)
	}
	p, ps := config.DecodePolicy(config.PolicyFile, []byte(policy), sections())
	if ps.Refused() {
		t.Fatal(ps)
	}
	made, err := newParts(b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Bootstrap: b, Policy: p}
	return teacher{func() *config.Config { return c }, made}, trainable(c, made)
}

const pills = "From: A <a@example.org>\r\nTo: b@example.com\r\nSubject: a test\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <pills@example.org>\r\n\r\n" +
	"cheap pills casino lottery winner prize claim urgent transfer million dollars\r\n"

// bayes is how many messages spamd knows as spam and as ham, as SpamAssassin's own tool tells.
func bayes(t *testing.T, s *lab.Spamd) string {
	t.Helper()
	home := filepath.Dir(s.Socket)
	out, err := exec.CommandContext(t.Context(), "sa-learn", "--siteconfigpath="+filepath.Join(home, "site"), "--dbpath="+filepath.Join(home, ".spamassassin", "bayes"), "--dump", "magic").Output()
	if err != nil {
		t.Fatalf("sa-learn: %v", err)
	}
	got := ""
	for _, m := range regexp.MustCompile(`(\d+)\s+\d+\s+non-token data: (nspam|nham)`).FindAllStringSubmatch(string(out), -1) {
		got += m[2] + " " + m[1] + " "
	}
	return strings.TrimSpace(got)
}

// TestTeachEngines teaches a real spamd and a real rspamd: each learns a message once, and otherwise when a person changed his mind.
func TestTeachEngines(t *testing.T) {
	s := labtest.Spamd(t, lab.SpamdOptions{Learns: true})
	r := labtest.Rspamd(t, lab.RspamdOptions{Redis: labtest.Redis(t, lab.RedisOptions{}).Addr})
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(lab.RspamdPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	engines := "[spamassassin]\naddresses = [\"" + s.Addr + "\"]\nmax_size = \"16K\"\n[rspamd]\naddresses = [\"" + r.Addr + "\"]\nmax_size = \"32K\"\ncontroller = \"" + r.Controller + "\"\n"
	h, err := learning(t, engines+"password_file = \""+password+"\"\n", "[training]\nspamassassin = true\nrspamd = true\n")
	if err != nil || !h.Learns() {
		t.Fatal(err)
	}
	teach := func(text string, spam bool, want string) {
		t.Helper()
		if got, err := h.Teach(t.Context(), spam, strings.NewReader(text), int64(len(text))); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	teach(pills, true, "spamassassin: learned; rspamd: learned")
	if got := bayes(t, s); got != "nspam 1 nham 0" {
		t.Errorf("spamd knows %s", got)
	}
	teach(pills, true, "spamassassin: nothing new; rspamd: nothing new")
	teach(pills, false, "spamassassin: learned; rspamd: learned")
	if got := bayes(t, s); got != "nspam 0 nham 1" {
		t.Errorf("spamd knows %s", got)
	}
	large := pills + strings.Repeat("and so on\r\n", 20<<10/11)
	teach(large, true, "spamassassin: too large; rspamd: learned")
	if _, err := h.Teach(t.Context(), true, strings.NewReader(large+large), int64(2*len(large))); !errors.Is(err, quarantine.ErrUnfit) {
		t.Errorf("larger than all: %v", err)
	}

	wrong, err := learning(t, engines, "[training]\nspamassassin = true\nrspamd = true\n") // without a password
	if err != nil {
		t.Fatal(err)
	}
	said, err := wrong.Teach(t.Context(), true, strings.NewReader(pills), int64(len(pills)))
	if said != "spamassassin: learned" || err == nil || !strings.Contains(err.Error(), "does not take the password") {
		t.Errorf("half: %q, %v", said, err)
	}
}

// TestTeachUnwilling shows what is said of a spamd that was not started for it, and that its scores count as before.
func TestTeachUnwilling(t *testing.T) {
	s := labtest.Spamd(t, lab.SpamdOptions{})
	h, err := learning(t, "[spamassassin]\naddresses = [\""+s.Addr+"\"]\n", "[training]\nspamassassin = true\n")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := h.Teach(t.Context(), true, strings.NewReader(pills), int64(len(pills))); err == nil || !strings.Contains(err.Error(), "start spamd with --allow-tell") {
			t.Errorf("%v", err)
		}
	}
	if got := h.parts.spam.Health(); len(got) != 1 || got[0].Failures != 0 || got[0].Errors != 0 {
		t.Errorf("%+v", got)
	}
}

// TestTrainable refuses a policy whose engines are not there.
func TestTrainable(t *testing.T) {
	for policy, want := range map[string]string{
		"[training]\nspamassassin = true\n": "needs spamassassin.addresses",
		"[training]\nrspamd = true\n":       "needs rspamd.controller",
		"":                                  "",
	} {
		h, err := learning(t, "[spamassassin]\naddresses = []\n[rspamd]\naddresses = [\"127.0.0.1:11333\"]\n", policy)
		if want == "" && (err != nil || h.Learns()) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", policy, err)
		}
	}
}
