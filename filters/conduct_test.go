package filters

import (
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestConduct shows what the tests inside a session find and what that leads to, by default and with each action.
func TestConduct(t *testing.T) {
	early := func(kinds ...gateway.AheadKind) gateway.Conduct {
		c := gateway.Conduct{}
		for _, k := range kinds {
			c.Note(gateway.Ahead{Kind: k, Behind: "EHLO", Sent: "MAIL FROM:<>"})
			c.Note(gateway.Ahead{Kind: k, Behind: "again"}) // each kind once
		}
		return c
	}
	action := func(check, action string) string { return "[checks." + check + "]\naction = \"" + action + "\"\n" }
	for name, c := range map[string]struct {
		policy   string
		conduct  gateway.Conduct
		measures string
		outcome  gateway.Outcome
		reply    string
	}{
		"well behaved":           {"", gateway.Conduct{Words: []string{"XCLIENT", "FOO"}}, "", gateway.Accept, ""},
		"before the banner":      {"", gateway.Conduct{Early: "EHLO x", EarlyAfter: time.Second}, "early", gateway.Reject, "550 5.5.1 Refused: your host sent something before our greeting"},
		"pregreet score":         {action("pregreet", "score"), gateway.Conduct{Early: "EHLO x"}, "early", gateway.Accept, ""},
		"pregreet observe":       {action("pregreet", "observe"), gateway.Conduct{Early: "EHLO x"}, "early", gateway.Accept, ""},
		"pregreet drop":          {action("pregreet", "drop"), gateway.Conduct{Early: "EHLO x"}, "early", gateway.Drop, "554 5.5.1 "},
		"pregreet off":           {action("pregreet", "off"), gateway.Conduct{Early: "EHLO x"}, "", gateway.Accept, ""},
		"behind EHLO":            {"", early(gateway.AheadGreeting), "greeting", gateway.Accept, ""},
		"everything":             {"", early(gateway.AheadGreeting, gateway.AheadMessage, gateway.AheadUnoffered, gateway.AheadSync), "greeting,message,unoffered,sync", gateway.Accept, ""},
		"pipelining off":         {action("pipelining", "off"), early(gateway.AheadGreeting), "", gateway.Accept, ""},
		"pipelining observe":     {action("pipelining", "observe"), early(gateway.AheadGreeting), "greeting", gateway.Accept, ""},
		"pipelining reject":      {action("pipelining", "reject"), early(gateway.AheadGreeting), "greeting", gateway.Reject, "550 5.5.1 Refused: your host sent more behind EHLO"},
		"pipelining drop":        {action("pipelining", "drop"), early(gateway.AheadSync), "sync", gateway.Drop, "554 5.5.1 Refused: "},
		"bare LF":                {"", gateway.Conduct{BareLF: "EHLO x"}, "bare", gateway.Drop, "554 5.5.2 A command ended in a bare LF"},
		"mixed":                  {"", gateway.Conduct{BareLF: "EHLO x", Mixed: true}, "mixed", gateway.Drop, "554 5.5.2 Some commands"},
		"bare LF score":          {action("newline", "score"), gateway.Conduct{BareLF: "EHLO x"}, "bare", gateway.Accept, ""},
		"bare LF reject":         {action("newline", "reject"), gateway.Conduct{BareLF: "EHLO x"}, "bare", gateway.Reject, "550 5.5.2 "},
		"bare LF off":            {action("newline", "off"), gateway.Conduct{BareLF: "EHLO x"}, "", gateway.Accept, ""},
		"HTTP header":            {"", gateway.Conduct{Words: []string{"FOO", "user-agent:"}}, "foreign", gateway.Drop, "554 5.5.1 Refused: your host sent user-agent:"},
		"HTTP version":           {"", gateway.Conduct{Words: []string{"HTTP/1.1"}}, "foreign", gateway.Drop, "554 5.5.1 "},
		"SSH":                    {action("verb", "reject"), gateway.Conduct{Words: []string{"SSH-2.0-Go"}}, "foreign", gateway.Reject, "550 5.5.1 "},
		"a message as commands":  {action("verb", "score"), gateway.Conduct{Words: []string{"Subject:"}}, "foreign", gateway.Accept, ""},
		"alien":                  {action("verb", "observe"), gateway.Conduct{Alien: "TLS"}, "foreign", gateway.Accept, ""},
		"verb off":               {action("verb", "off"), gateway.Conduct{Alien: "TLS"}, "", gateway.Accept, ""},
		"words of one's own":     {"[checks.verb]\nforeign = [\"BA?\"]\n", gateway.Conduct{Words: []string{"USER", "bar"}}, "foreign", gateway.Drop, "554 5.5.1 Refused: your host sent bar"},
		"words of one's own too": {"[checks.verb]\nforeign = []\n", gateway.Conduct{Words: []string{"USER", "GET"}}, "", gateway.Accept, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Deps{}
			pl := build(t, c.policy, d)
			s := &gateway.Session{Conduct: c.conduct, Snapshot: &gateway.Snapshot{Policy: d.Policy, Pipeline: pl},
				Findings: []gateway.Finding{{Check: "other", Result: gateway.Pass}}}
			pl.Watch(t.Context(), s)
			v := pl.Watch(t.Context(), s) // what was found is found once
			var measures []string
			for _, f := range s.Findings[1:] {
				if f.Result != gateway.Fail || f.Rcpt != -1 || f.Stage != gateway.Connect {
					t.Errorf("finding %+v", f)
				}
				for _, m := range f.Measures {
					measures = append(measures, m.Name)
				}
			}
			if got := strings.Join(measures, ","); got != c.measures || s.Conduct.Failed != (got != "") {
				t.Errorf("measures %q, failed %t", got, s.Conduct.Failed)
			}
			if v.Outcome != c.outcome || !strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != v.Reply.IsZero() {
				t.Errorf("%s: %q", v.Outcome, v.Reply)
			}
		})
	}
}

// TestWordsAreBounded: no client fills the memory with words.
func TestWordsAreBounded(t *testing.T) {
	var c gateway.Conduct
	for i := range 1000 {
		if fresh := c.NoteWord(strings.Repeat("X", i%500+1)); fresh != (i < gateway.MaxWords) {
			t.Fatalf("word %d: %t", i, fresh)
		}
	}
	if len(c.Words) != gateway.MaxWords {
		t.Errorf("%d words", len(c.Words))
	}
}
