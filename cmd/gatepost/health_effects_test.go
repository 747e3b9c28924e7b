package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/api"
)

// TestAdvise shows that whatever is not well says what it does to mail and what to do, that a server among others that answer does
// nothing to mail, that scanners mean what the policy makes of them, and that each trouble is told once.
func TestAdvise(t *testing.T) {
	p := &gateway.Policy{Checks: map[string]gateway.CheckPolicy{"clamav": {Unknown: gateway.ActionDefer}, "rspamd": {Unknown: gateway.ActionPass}, "hook a": {}}}
	s := &api.Status{
		Servers: []api.Server{{What: "clamav", Server: "a:3310"}, {What: "rspamd", Server: "b:11333"}, {What: "dns", Server: "c:53"}, {What: "next hop", Server: "d:25"}, {What: "redis", OK: true}},
		Parts:   []api.Part{{Part: "clamav"}, {Part: "rspamd"}, {Part: "next hops"}, {Part: "lists", Detail: "1 of 2 are used"}, {Part: "hook a"}, {Part: "new"}, {Part: "dns", OK: true}},
	}
	advise(s, p)
	got := map[string]api.Server{}
	for _, x := range s.Trouble() {
		if _, twice := got[x.What]; twice || x.Do == "" {
			t.Errorf("%s is told twice, or %q is to be done", x.What, x.Do)
		}
		got[x.What] = x
	}
	for what, want := range map[string]string{"clamav": "deferred with 451", "rspamd": "X-Gatepost-Unscanned: rspamd", "dns": "None yet", "next hop": "when_down", "lists": "rbl.client", "hook a": "as if it had found nothing", "new": ""} {
		if x, there := got[what]; !there || !strings.Contains(x.Effect, want) {
			t.Errorf("%s: %+v, want %q", what, x, want)
		}
	}
	if len(got) != 7 || s.Servers[4].Do != "" || s.Parts[6].Do != "" {
		t.Errorf("what is well is told of: %+v", s)
	}
}

// TestEffectsKnown shows that each part which the daemon watches, by the sources of it, has its effect, and none is said of what there
// is not.
func TestEffectsKnown(t *testing.T) {
	watched := map[string]bool{}
	for _, pattern := range []string{"*.go", "../../gateway/journal/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`\.?(?:Watch|Require)\("([a-z _-]+)"`).FindAllSubmatch(text, -1) {
				watched[string(m[1])] = true
			}
		}
	}
	for name := range watched {
		if effects[name] == "" {
			t.Errorf("what comes of %q is not said", name)
		}
	}
	for name := range effects {
		if !watched[name] && name != "journal" { // which the journal watches itself
			t.Errorf("%q is no part", name)
		}
	}
}
