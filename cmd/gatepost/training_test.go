package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// knows is what spamd has learned, as SpamAssassin's own tool tells.
func knows(t *testing.T, s *lab.Spamd) lab.Lessons {
	t.Helper()
	l, err := s.Learned(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// live is what check --live says of them.
func live(t *testing.T, h teacher) (out []string) {
	for _, a := range learnersLive(t.Context(), h.policy(), h.parts) {
		if a.Err != nil {
			a.Said = a.Err.Error()
		}
		out = append(out, a.What+" "+a.Server+" "+a.Said)
	}
	return out
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
	teach := func(text string, spam bool, want string, know ...string) {
		t.Helper()
		if _, got, err := h.Teach(t.Context(), spam, strings.NewReader(text), int64(len(text)), know); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	teach(pills, true, "spamassassin: learned; rspamd: learned")
	if got := knows(t, s); got != (lab.Lessons{Spam: 1}) {
		t.Errorf("spamd knows %+v", got)
	}
	teach(pills, true, "spamassassin: nothing new; rspamd: nothing new")
	teach(pills, false, "spamassassin: learned; rspamd: learned")
	if got := knows(t, s); got != (lab.Lessons{Ham: 1}) {
		t.Errorf("spamd knows %+v", got)
	}
	large := pills + strings.Repeat("and so on\r\n", 20<<10/11)
	teach(large, true, "spamassassin: too large; rspamd: learned")
	other := strings.Replace(pills, "<pills@", "<more.pills@", 1) + "and more\r\n"
	teach(other, true, "spamassassin: knows it; rspamd: learned", "spamassassin")
	if got := knows(t, s); got != (lab.Lessons{Ham: 1}) {
		t.Errorf("spamd was told what it knows: %+v", got)
	}
	if _, _, err := h.Teach(t.Context(), true, strings.NewReader(large+large), int64(2*len(large)), nil); !errors.Is(err, quarantine.ErrUnfit) {
		t.Errorf("larger than all: %v", err)
	}

	wrong, err := learning(t, engines, "[training]\nspamassassin = true\nrspamd = true\n") // without a password
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(live(t, h), live(t, wrong)); strings.Count(got, "takes lessons") != 3 || !strings.Contains(got, "does not take the password") || !strings.Contains(got, "; write it into the file that rspamd.password_file") {
		t.Errorf("asked: %s", got)
	}
	if got := knows(t, s); got != (lab.Lessons{Ham: 1}) {
		t.Errorf("spamd learned from a question: %+v", got)
	}

	know, _, err := wrong.Teach(t.Context(), true, strings.NewReader(pills), int64(len(pills)), nil)
	if len(know) != 1 || know[0] != "spamassassin" || err == nil || !strings.Contains(err.Error(), "does not take the password") ||
		!strings.Contains(err.Error(), "the file that rspamd.password_file in gatepost.toml names") || !strings.HasSuffix(err.Error(), "; spamassassin: learned") {
		t.Errorf("half: %q, %v", know, err)
	}
}

// TestTeachFaults shows what is said of a spamd that was not started for it, that may not write its database, hangs, talks garbage or is away, that what the
// others learned counts, and that it is none of the pool's business, by which mail is scored.
func TestTeachFaults(t *testing.T) {
	unwilling := labtest.Spamd(t, lab.SpamdOptions{})
	blind := labtest.Spamd(t, lab.SpamdOptions{Learns: true, Settings: []string{"bayes_path /nonexistent/bayes"}})
	answer := func(text string) string {
		return labtest.Server(t, func(c net.Conn) {
			_, _ = io.Copy(io.Discard, c) // to the end of the request
			_, _ = io.WriteString(c, text)
		})
	}
	hung := labtest.Server(t, func(net.Conn) { <-t.Context().Done() })
	good := answer("SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\nContent-length: 2\r\n\r\n\r\n")
	for address, want := range map[string]string{
		unwilling.Addr:          "start spamd with --allow-tell, or remove training.spamassassin from policy.toml",
		hung:                    "deadline exceeded",
		answer("220 hello\r\n"): "bad reply",
		answer("SPAMD/1.1 0 EX_OK\r\nX: " + strings.Repeat("x", 1<<20)): "bad reply",
		labtest.ClosedAddr(t): "connection refused",
		blind.Addr:            "its settings need use_bayes 1",
	} {
		h, err := learning(t, "[spamassassin]\naddresses = [\""+address+"\", \""+good+"\"]\n", "[training]\nspamassassin = true\n")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if address == hung {
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		}
		if address == unwilling.Addr {
			if got := live(t, h); len(got) != 2 || !strings.Contains(got[0], want) {
				t.Errorf("asked: %q", got)
			}
		}
		know, _, err := h.Teach(ctx, true, strings.NewReader(pills), int64(len(pills)), nil)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "spamassassin "+address+": ") {
			t.Errorf("%v, want %q", err, want)
		}
		if address != hung && (len(know) != 1 || know[0] != "spamassassin "+good) {
			t.Errorf("%s: %q know it", want, know)
		}
		for _, a := range h.parts.spam.Health() {
			if a.Failures != 0 || a.Errors != 0 || a.Calls != 0 {
				t.Errorf("%+v", a)
			}
		}
	}
}

// TestTrainable refuses a policy whose engines are not there.
func TestTrainable(t *testing.T) {
	for policy, want := range map[string]string{
		"[training]\nspamassassin = true\n": "name it in spamassassin.addresses in gatepost.toml",
		"[training]\nrspamd = true\n":       "name its controller in rspamd.controller in gatepost.toml",
		"":                                  "",
	} {
		h, err := learning(t, "[spamassassin]\naddresses = []\n[rspamd]\naddresses = [\"127.0.0.1:11333\"]\n", policy)
		if want == "" && (err != nil || h.Learns()) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", policy, err)
		}
	}
}
