package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// event is one line of the journal on the daemon's stdout.
type event map[string]any

// events are those of mail that the daemon wrote so far.
func (w *world) events() ([]event, error) {
	all, err := w.read()
	return slices.DeleteFunc(all, func(e event) bool {
		kind := e.text("kind")
		return kind != "connection" && kind != "transaction"
	}), err
}

// lines are all lines of the journal so far.
func (w *world) lines(t testing.TB) []event {
	t.Helper()
	all, err := w.read()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// journal is what was read of a daemon's journal.
type journal struct {
	mu     sync.Mutex
	offset int64 // octets of whole lines that were read
	events []event
}

// read reads what is new in the journal and returns all of it. What the daemon says on stderr stands in the same file and
// is no JSON object.
func (w *world) read() ([]event, error) {
	j := &w.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	f, err := os.Open(filepath.Join(w.dir, "gatepost.log"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, j.offset, 1<<30))
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break // the rest of it is still to come
		}
		j.offset += int64(len(line))
		if line[0] != '{' {
			continue
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("journal line %q: %w", line, err)
		}
		j.events = append(j.events, e)
	}
	return slices.Clone(j.events), nil
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
