package rspamd_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/rspamd"
)

// message is one that rspamd learns from, with words of its own.
func message(id, body string) string {
	return "From: A <a@example.org>\r\nTo: b@example.com\r\nSubject: a test\r\nMessage-ID: <" + id + "@example.org>\r\n\r\n" + body + "\r\n"
}

func request(text string) rspamd.Request {
	return rspamd.Request{Message: strings.NewReader(text), Size: int64(len(text)), IP: "192.0.2.9", Helo: "mx.example.org",
		From: "<a@example.org>", Rcpts: []string{"b@example.com", "c@example.com"}, ID: "K7Q29"}
}

func client(t testing.TB, cfg rspamd.Config) *rspamd.Client {
	t.Helper()
	c, err := rspamd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the real rspamd says, learns, and is told of the envelope.
func TestReal(t *testing.T) {
	r := labtest.Rspamd(t, lab.RspamdOptions{Redis: labtest.Redis(t, lab.RedisOptions{}).Addr, Words: []lab.RspamdWord{{Symbol: "LAB_SPAM", Text: "gatepost alpha", Points: 7.5}, {Symbol: "LAB_HAM", Text: "gatepost beta", Points: -3.25}}})
	c := client(t, rspamd.Config{Address: r.Addr})
	said, err := c.Probe(t.Context())
	if err != nil || !strings.HasPrefix(said, "rspamd 3.") {
		t.Fatalf("probe: %q, %v", said, err)
	}
	for name, tc := range map[string]struct {
		body     string
		spam     bool
		score    float64
		action   string
		symbol   string
		complete bool
	}{
		"nothing": {"How are you?", false, 0, rspamd.NoAction, "", true},
		"spam":    {"gatepost alpha", true, 7.5, rspamd.AddHeader, "LAB_SPAM", true},
		"ham":     {"gatepost beta", false, -3.25, rspamd.NoAction, "LAB_HAM", true},
		"both":    {"gatepost alpha gatepost beta", false, 4.25, rspamd.Greylist, "LAB_HAM", true},
		"gtube":   {lab.GTUBE(), true, 15, rspamd.Reject, "GTUBE", false},
	} {
		got, err := c.Check(t.Context(), request(message(strings.ReplaceAll(name, " ", ""), tc.body)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		has := tc.symbol == ""
		for _, s := range got.Symbols {
			has = has || s.Name == tc.symbol
		}
		if got.Spam() != tc.spam || got.Score != tc.score || got.Action != tc.action || !has || got.Complete != tc.complete || got.Required != 15 || got.Version == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	testLearning(t, r)
}

func testLearning(t *testing.T, r *lab.Rspamd) {
	t.Helper()
	if _, err := client(t, rspamd.Config{Address: r.Controller, Password: "wrong"}).Learn(t.Context(), strings.NewReader("x"), 1, true); !errors.Is(err, rspamd.ErrDenied) {
		t.Fatalf("a wrong password: %v", err)
	}
	if err := client(t, rspamd.Config{Address: r.Controller, Password: "wrong"}).Admits(t.Context()); !errors.Is(err, rspamd.ErrDenied) {
		t.Errorf("a wrong password: %v", err)
	}
	c := client(t, rspamd.Config{Address: r.Controller, Password: lab.RspamdPassword})
	if err := c.Admits(t.Context()); err != nil {
		t.Errorf("the password: %v", err)
	}
	learn := func(text string, spam, want bool) {
		t.Helper()
		if got, err := c.Learn(t.Context(), strings.NewReader(text), int64(len(text)), spam); err != nil || got != want {
			t.Fatalf("learn: %v, %v, want %v", got, err, want)
		}
	}
	pills, letter := "cheap pills casino lottery winner prize claim urgent transfer million dollars", "the meeting of our choir is on thursday evening in the old school house"
	learn(message("s1", pills), true, true)
	learn(message("s1", pills), true, false) // again: it was learned before, and that is no error
	learn(message("h1", letter), false, true)
	if n := learned(t, r); n != 2 {
		t.Errorf("it says that it learned %d messages, want 2", n)
	}
}

// learned asks the controller how many messages it learned.
func learned(t *testing.T, r *lab.Rspamd) (n int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Controller+"/stat", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Password", lab.RspamdPassword)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var stat struct{ Learned int }
	if err := json.NewDecoder(resp.Body).Decode(&stat); err != nil {
		t.Fatal(err)
	}
	return stat.Learned
}
