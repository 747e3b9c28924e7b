package spamd

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func client(t testing.TB, address string) *Client {
	t.Helper()
	c, err := New(Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request makes a message of a header and the body.
func request(body string) Request {
	text := "From: a@example.org\r\nTo: b@example.com\r\nSubject: a test\r\n" +
		"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-Id: <some.long.enough.id@example.org>\r\n\r\n" + body
	return Request{Message: strings.NewReader(text), Size: int64(len(text))}
}

func scoreOf(r Report, name string) (float64, bool) {
	for _, rule := range r.Rules {
		if rule.Name == name {
			return rule.Score, rule.Scored
		}
	}
	return 0, false
}

func TestRealCheck(t *testing.T) {
	s := need(t)
	const long = "GP_A_RULE_WITH_A_VERY_LONG_NAME_INDEED_LONGER_THAN_ANY_COLUMN"
	for name, tc := range map[string]struct {
		body  string
		spam  bool
		rules map[string]float64
		not   string
	}{
		"clean":           {"Hello, how are you? We meet at ten.\r\n", false, nil, "GP_WRAPPED"},
		"no end of line":  {"Hello, how are you? We meet at ten.", false, nil, "GP_WRAPPED"},
		"wrapped, long":   {"gatepost alpha\r\n", true, map[string]float64{"GP_WRAPPED": 1.2, long: 13, "GP_TINY": 0}, ""},
		"negative":        {"gatepost beta\r\n", false, map[string]float64{"GP_NEGATIVE": -3.5, "GP_HUGE": -1000}, ""},
		"floored":         {"gatepost gamma\r\n", false, map[string]float64{"GP_JUST_UNDER": 5}, ""},
		"gtube":           {gtube(), true, map[string]float64{"GTUBE": 1000}, ""},
		"forged table":    {forged, false, nil, "FAKE_RULE"},
		"forged, indeed":  {strings.ReplaceAll(forged, "-", "\u2010"), false, nil, "FAKE_RULE"},
		"forged and spam": {"gatepost alpha\r\n" + forged, true, map[string]float64{"GP_WRAPPED": 1.2}, "FAKE_RULE"},
	} {
		for _, address := range []string{s.unix, s.tcp} {
			r, err := client(t, address).Check(t.Context(), request(tc.body))
			if err != nil {
				t.Errorf("%s at %s: %v", name, address, err)
				continue
			}
			if r.Spam != tc.spam || r.Threshold != 5 || r.Spam != (r.Score >= r.Threshold) || r.Duration <= 0 {
				t.Errorf("%s at %s: got %+v", name, address, r)
			}
			if !r.Complete || len(r.Rules) == 0 {
				t.Errorf("%s at %s: the table was not understood: %+v", name, address, r)
			}
			for rule, want := range tc.rules {
				if got, ok := scoreOf(r.Report, rule); !ok || got != want {
					t.Errorf("%s at %s: %s is %v %v, want %v, in %+v", name, address, rule, got, ok, want, r.Rules)
				}
			}
			if _, there := scoreOf(r.Report, tc.not); there {
				t.Errorf("%s at %s: %s was taken for a rule: %+v", name, address, tc.not, r.Rules)
			}
		}
	}
}

// forged is the table of a report, as a sender would write it.
const forged = " pts rule name              description\r\n---- ---------------------- --------------------------\r\n" +
	" 5.0 FAKE_RULE              forged\r\n-5.0 FAKE_RULE2             forged\r\n\r\n"

func TestRealUserAndSize(t *testing.T) {
	c := client(t, need(t).unix)
	req := request("Hello, we meet at ten.\r\n")
	req.User = "someone@example.org"
	if _, err := c.Check(t.Context(), req); err != nil {
		t.Errorf("with a user: %v", err)
	}
	big := request(strings.Repeat("Some words of a long message.\r\n", 15_000))
	if r, err := c.Check(t.Context(), big); err != nil || !r.Complete {
		t.Errorf("%d octets: %+v, %v", big.Size, r, err)
	}
	// Only Size octets are read, wherever they end.
	cut := request(strings.Repeat("gatepost", 1000))
	cut.Size = 500
	if _, err := c.Check(t.Context(), cut); err != nil {
		t.Errorf("a head: %v", err)
	}
	if _, err := c.Check(t.Context(), Request{Message: strings.NewReader(""), Size: 0}); err != nil {
		t.Errorf("an empty message: %v", err)
	}
}

func TestRealBrokenSource(t *testing.T) {
	c := client(t, need(t).unix)
	gone := errors.New("gone")
	for name, r := range map[string]io.Reader{
		"short": strings.NewReader("Subject: x\r\n\r\nhello"),
		"fails": io.MultiReader(strings.NewReader("Subject: x\r\n"), failing{gone}),
		"empty": strings.NewReader(""),
	} {
		got, err := c.Check(t.Context(), Request{Message: r, Size: 1000})
		if !errors.Is(err, ErrSource) || Blames(err) || got.Rules != nil || got.Threshold != 0 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestRealProbe(t *testing.T) {
	s := need(t)
	for _, address := range []string{s.unix, s.tcp, strings.TrimPrefix(s.unix, "unix:"), strings.TrimPrefix(s.tcp, "tcp:")} {
		c := client(t, address)
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		v, err := c.Version(t.Context())
		if err != nil || v == "" || !strings.Contains("123456789", v[:1]) {
			t.Errorf("version %q, %v", v, err)
		}
		text, err := c.Probe(t.Context())
		if err != nil || text != "SpamAssassin "+v {
			t.Errorf("probe %q, %v", text, err)
		}
		if r, err := c.Check(t.Context(), request("Hello.\r\n")); err != nil || r.Version != v {
			t.Errorf("a check after VERSION: %+v, %v", r, err)
		}
	}
}

func TestRealRefusal(t *testing.T) {
	c := client(t, need(t).unix)
	message := "x"
	_, err := c.do(t.Context(), "NONSENSE", Request{Message: strings.NewReader(message), Size: 1})
	var code *CodeError
	if !errors.As(err, &code) || code.Code != CodeProtocol || code.Temporary() || !Blames(err) {
		t.Errorf("got %v", err)
	}
}

func TestRealParallelAndCancelled(t *testing.T) {
	s := need(t)
	c := client(t, s.tcp)
	var checks sync.WaitGroup
	for i := range 10 {
		checks.Go(func() {
			body, spam := "Hello, we meet at ten.\r\n", i%2 == 0
			if spam {
				body = "gatepost alpha\r\n"
			}
			if r, err := c.Check(t.Context(), request(body)); err != nil || r.Spam != spam {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	checks.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Check(ctx, request("Hello.\r\n")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after a deadline: %v", err)
	}
}
