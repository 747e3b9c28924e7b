package store

import (
	"strings"
	"testing"
	"time"
)

// TestSharedEraseTwice shows that nothing stays of somebody in an event that was written again: neither in the block that has the last
// word, nor in the one before it.
func TestSharedEraseTwice(t *testing.T) {
	l := openLog(t, Options{Shared: sharedLog(t)})
	var g ids
	e := transaction(&g, time.Now(), "anna@sender.example", "bob@one.example")
	write(t, l, e)
	write(t, l, e)
	if before := strings.Count(rawShared(t, l, ""), "anna@sender.example"); before < 3 {
		t.Fatalf("she is there %d times: in a row and in two blocks is what was meant", before)
	}
	c, err := erase(t, l, "anna@sender.example")
	if err != nil || c.Events != 1 || len(c.Gaps) > 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	if text := rawShared(t, l, ""); strings.Contains(text, "anna@sender.example") {
		t.Error("something of her is left")
	}
	if got := found(t, l.Reader(), Query{To: "bob@one.example"}); got != 1 {
		t.Errorf("%d found, want the one event", got)
	}
}
