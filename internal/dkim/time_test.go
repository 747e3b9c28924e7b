package dkim

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDNSThatHangs shows that Verify ends with its context, that what DNS did not tell is temporary, what it told counts,
// and that nothing is left behind: a goroutine that outlives the test fails it.
func TestDNSThatHangs(t *testing.T) {
	header, body := usual(1000)
	text := header + "\r\n" + body
	for _, selector := range []string{"a", "b", "quick", "c"} {
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		text = signed(t, ed25519Key(), "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=d.example; s="+selector+";", usualNames, head+"\r\n", body)
	}
	key := record(t, ed25519Key())
	synctest.Test(t, func(t *testing.T) {
		h, content := cut(text)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		began := time.Now()
		results, _ := Verify(ctx, h, strings.NewReader(content), hanging{key}, Options{})
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("it took %s", took)
		}
		for _, r := range results {
			if want := map[bool]Status{true: Pass, false: TempError}[r.Selector == "quick"]; r.Status != want || (r.DNSError != nil) != (want == TempError) {
				t.Errorf("s=%s: %s (%s, %v)", r.Selector, r.Status, r.Reason, r.DNSError)
			}
		}
		if len(results) != 4 {
			t.Errorf("%d results", len(results))
		}
	})
}

// hanging answers one name and lets others wait.
type hanging struct{ key string }

func (h hanging) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if strings.HasPrefix(name, "quick.") {
		return []string{h.key}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}
