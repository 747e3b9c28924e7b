package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// event is one line of the journal on the daemon's stdout.
type event map[string]any

// events reads all journal lines that the daemon wrote so far. What it says about itself stands in the same file and is
// no JSON object, or one without a kind.
func (w *world) events() ([]event, error) {
	text, err := os.ReadFile(filepath.Join(w.dir, "gatepost.log"))
	if err != nil {
		return nil, err
	}
	var all []event
	for line := range bytes.Lines(text) {
		if len(line) == 0 || line[0] != '{' || line[len(line)-1] != '\n' {
			continue
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("journal line %q: %w", line, err)
		}
		if kind := e.text("kind"); kind == "connection" || kind == "transaction" {
			all = append(all, e)
		}
	}
	return all, nil
}

// await waits for the nth event (from 0) that fits.
func (w *world) await(ctx context.Context, n int, what string, fits func(event) bool) (event, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		all, err := w.events()
		if err != nil {
			return nil, err
		}
		left := n
		for _, e := range all {
			if !fits(e) {
				continue
			}
			if left--; left < 0 {
				return e, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("journal: no event %d: %s; it has\n%s", n, what, show(all))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// awaitEvent is await for a test: the transaction whose values are the wanted ones must come.
func (w *world) awaitEvent(t testing.TB, kind string, want ...string) event {
	t.Helper()
	e, err := w.await(t.Context(), 0, kind+" "+strings.Join(want, " "), func(e event) bool {
		return e.text("kind") == kind && e.check(want) == nil
	})
	if err != nil {
		t.Error(err)
	}
	return e
}

func show(all []event) string {
	var b strings.Builder
	for _, e := range all[max(0, len(all)-5):] {
		line, _ := json.Marshal(e)
		fmt.Fprintf(&b, "\t%s\n", line)
	}
	return b.String()
}

// text is a value as text; a list is joined by commas.
func (e event) text(name string) string { return plain(e[name]) }

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = plain(v[i])
		}
		return strings.Join(parts, ",")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// check compares values: "name=value" is exact, "name^value" is how it begins, "name~value" is in it, "name!value" is not
// in it. What the journal leaves out is empty, and 0 for a number. The names are those of the journal's lines.
func (e event) check(want []string) error {
	for _, w := range want {
		i := strings.IndexAny(w, "=^~!")
		if i < 0 {
			return fmt.Errorf("%q: want name=value, name^value, name~value or name!value", w)
		}
		name, value := w[:i], w[i+1:]
		got := e.text(name)
		ok := got == value || got == "" && value == "0"
		switch w[i] {
		case '^':
			ok = strings.HasPrefix(got, value)
		case '~':
			ok = strings.Contains(got, value)
		case '!':
			ok = !strings.Contains(got, value)
		}
		if !ok {
			return fmt.Errorf("journal: %s is %q, not %s", name, got, w)
		}
	}
	return nil
}
