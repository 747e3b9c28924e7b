package e2e

import (
	"strings"
	"testing"
)

// TestRuleHits: the daemon counts mail that a rule of its policy matched, which is only observed, and none of a rule that matches
// nothing; what it counted is there after it was stopped and started again.
func TestRuleHits(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{clamav: "off", spamd: "off", policy: noGreylist + "[[rule]]\nname = \"watched\"\naction = \"reject\"\nobserve = true\nwhen = \"size > 1\"\n" +
		"[[rule]]\nname = \"silent\"\naction = \"tag\"\nwhen = \"size > 1000000000\"\n"})
	for range 2 {
		if r := w.hello(t).deliverFrom("alice@example.org", "bob@served.test", "watched"); !strings.HasPrefix(r.last(), "250") {
			t.Fatalf("an observed rule decides: %q", r.last())
		}
	}
	const watched = `"kind":"reject","value":"watched",`
	told := func() string {
		t.Helper()
		w.awaitCommand(t, `"hits":2,"observed":true`, "entry", "list", "--list", "rule", "--json")
		out, _ := w.command(t, 0, "entry", "list", "--list", "rule", "--json")
		return out
	}
	if out := told(); !strings.Contains(out, watched) || strings.Count(out, `"hits":0`) != 1 {
		t.Errorf("%s", out)
	}
	must(t, w.daemon.Stop())
	w.start(t)
	if out := told(); !strings.Contains(out, watched) {
		t.Errorf("after a restart: %s", out)
	}
}
