package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// TestAliasFile changes the file of aliases of a running daemon, also by a file that takes its place: a reload reads it within
// the sandbox, one that loops is refused whole and changes nothing, and trace and route tell who got the mail and by which line.
func TestAliasFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{clamav: "off", spamd: "off", top: "alias_file = \"FILE\"\n"})
	folder := filepath.Join(lab.StateDir(w.dir), "maps") // not among what else is read
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(folder, "aliases")
	w.policy = strings.Replace(w.policy, "FILE", name, 1)
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	put("# the team\nteam@served.test ann@served.test, ben@served.test\n")
	w.start(t)
	arrives := func(want ...string) (reference string) {
		t.Helper()
		c := w.dial(t)
		defer c.conn.Close()
		c.want("250", "EHLO client.example.org")
		said := c.deliver("Team@served.test", "text")
		if !said.accepted() {
			t.Fatalf("told %q", said.last())
		}
		all := w.hop(t).Accepted()
		var got []string
		for _, command := range all[len(all)-1].Rcpts {
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(command, "RCPT TO:<"), "@served.test>"))
		}
		if !slices.Equal(got, want) {
			t.Errorf("it went to %q, want %q", got, want)
		}
		_, reference, _ = strings.Cut(strings.TrimSpace(said.dot), "Accepted, ")
		return reference
	}
	reference := arrives("ann", "ben")
	first := w.awaitEvent(t, "transaction", "rcpts=Team@served.test", "sent=ann@served.test,ben@served.test", "relay=delivered")

	put("team@served.test carl@served.test\n")
	w.reload(t, w.policy, "reload")
	arrives("carl")
	if second := w.awaitEvent(t, "transaction", "sent=carl@served.test"); first.text("policy") == second.text("policy") {
		t.Errorf("both files are told as policy %s", second.text("policy"))
	}

	put("team@served.test dan@served.test\ndan@served.test Team@served.test\n")
	_, complaint, code, err := w.daemon.Command(t.Context(), "reload")
	if loop := "comes back to itself: team@served.test (" + name + ":1) -> dan@served.test (" + name + ":2) -> team@served.test"; err != nil || code != 1 || !strings.Contains(complaint, loop) {
		t.Errorf("a loop: %v, exit %d, %s", err, code, complaint)
	}
	arrives("carl")

	put("# the team\nteam@served.test ann@served.test, ben@served.test\n")
	w.reload(t, w.policy, "reload")
	if told, _, code, err := w.daemon.Command(t.Context(), "route", "TEAM@served.test"); err != nil || code != 0 ||
		!strings.Contains(told, "because    alias "+name+":2\n  sent on to ann@served.test, ben@served.test\n") {
		t.Errorf("route: %v, exit %d, %s", err, code, told)
	}
	ctx, cancel := context.WithTimeout(t.Context(), clientTime)
	defer cancel()
	story := strings.Join(strings.Fields(w.story(ctx, t, reference)), " ") // whatever its lines
	for _, part := range []string{"<Team@served.test> -> <ann@served.test>, <ben@served.test>, route internal", "alias " + name + ":2 -> ann@served.test, ben@served.test"} {
		if !strings.Contains(story, part) {
			t.Errorf("trace does not tell %q:\n%s", part, story)
		}
	}
}
