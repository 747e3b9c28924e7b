package dkim

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// TestHostileBodies shows what bodies cost that are made to cost much, in octets that are hashed: never more than there
// are, once a canonicalisation, whatever the number of signatures.
func TestHostileBodies(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		body            string
		simple, relaxed int64
	}{
		"10 MiB of CRLFs":         {strings.Repeat("\r\n", 5*mib), 2, 0},
		"10 MiB of CRLFs and one": {strings.Repeat("\r\n", 5*mib) + "x\r\n", 10*mib + 3, 10*mib + 3},
		"spaces":                  {strings.Repeat(" ", 2*mib) + "\r\n", 2*mib + 2, 0},
		"lines of spaces":         {strings.Repeat(" \r\n", mib), 3 * mib, 0},
		"double spaces":           {strings.Repeat("a  ", mib) + "\r\n", 3*mib + 2, 2*mib - 1 + 2},
	} {
		var b BodyHasher
		for i := range 50 { // signatures
			b.Want(Simple, int64(i*i))
			b.Want(Relaxed, int64(i))
			b.Want(Simple, -1)
		}
		if err := b.Read(strings.NewReader(c.body)); err != nil {
			t.Fatal(err)
		}
		if b.Hashed() != c.simple+c.relaxed {
			t.Errorf("%s: %d octets were hashed, want %d", name, b.Hashed(), c.simple+c.relaxed)
		}
		allocs := testing.AllocsPerRun(1, func() {
			var b BodyHasher
			b.Want(Simple, -1)
			b.Want(Relaxed, 17)
			_ = b.Read(strings.NewReader(c.body))
		})
		if allocs > 20 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// TestHostileHeaders shows the same of header sections: what one signature hashes is at most the section and its own field.
func TestHostileHeaders(t *testing.T) {
	folded := "X: " + strings.Repeat("a \r\n ", 50_000) + "\r\n"
	many := strings.Repeat("X: y\r\n", 2000) + "From: a@d.example\r\n"
	names := "from" + strings.Repeat(":x", maxNames-1)
	for name, c := range map[string]struct {
		header string
		names  string
		fields int
	}{
		"256 KiB folded":  {folded + "From: a@d.example\r\n", "from:x", 2},
		"100 names":       {many, names, maxNames},
		"names not there": {strings.Repeat("Y: z\r\n", 2000) + "From: a@d.example\r\n", names, 1},
	} {
		text := signed(t, ed25519Key(), "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=d.example; s=e;", c.names, c.header, "")
		header, _, _ := strings.Cut(text, "\r\n\r\n")
		h := NewHeader(headerOf(header + "\r\n"))
		s, err := ParseSignature(&h.Fields[0])
		if err != nil {
			t.Fatal(err)
		}
		_, chosen, err := s.HeaderHash(h, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen, octets := map[int]bool{}, 0
		for _, i := range chosen {
			if i >= 0 {
				if seen[i] {
					t.Fatalf("%s: field %d is hashed twice", name, i)
				}
				seen[i] = true
				octets += len(h.Fields[i].Raw)
			}
		}
		if len(seen) != c.fields || octets > len(header) {
			t.Errorf("%s: %d fields, %d octets of %d", name, len(seen), octets, len(header))
		}
		results, _ := Verify(t.Context(), h, strings.NewReader(""), zone{"e._domainkey.d.example": record(t, ed25519Key())}, Options{})
		if len(results) != 1 || results[0].Status != Pass {
			t.Errorf("%s: %+v", name, results)
		}
	}
}

// TestHostileCounts shows what is bounded: signatures, their size, the octets that one may sign, and what is asked of DNS.
func TestHostileCounts(t *testing.T) {
	header, body := usual(1000)
	one := signed(t, ed25519Key(), "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=d.example; s=e;", usualNames, header, body)
	sig, _, _ := strings.Cut(one, "Received:")
	var many strings.Builder
	for i := range 50 {
		many.WriteString(strings.Replace(sig, "s=e", fmt.Sprintf("s=s%d", i), 1))
	}
	var asked atomic.Int32
	r := resolverFunc(func(string) ([]string, error) {
		asked.Add(1)
		return []string{record(t, ed25519Key())}, nil
	})
	h, content := cut(many.String() + one)
	results, skipped := Verify(t.Context(), h, strings.NewReader(content), r, Options{})
	if len(results) != DefaultSignatures || skipped != 43 || asked.Load() != DefaultSignatures {
		t.Errorf("%d results, %d skipped, %d lookups", len(results), skipped, asked.Load())
	}
	big := strings.Replace(one, "v=1;", "v=1; z="+strings.Repeat("x", maxField)+";", 1)
	h, content = cut(big)
	if results, _ := Verify(t.Context(), h, strings.NewReader(content), r, Options{}); results[0].Status != Neutral || results[0].Cause != Bound {
		t.Errorf("%+v", results[0])
	}
	text := signed(t, ed25519Key(), "v=1; a=ed25519-sha256; d=d.example; s=e;", "from:x", "From: a@d.example\r\nX: "+strings.Repeat("x", maxText)+"\r\n", "")
	h, content = cut(text)
	if results, _ := Verify(t.Context(), h, strings.NewReader(content), r, Options{}); results[0].Status != Neutral || results[0].Cause != Bound {
		t.Errorf("%+v", results[0])
	}
	texts := resolverFunc(func(string) ([]string, error) { return []string{strings.Repeat("p=A", 1<<20)}, nil })
	h, content = cut(one)
	if results, _ := Verify(t.Context(), h, strings.NewReader(content), texts, Options{}); results[0].Status != PermError || results[0].Cause != BadKey {
		t.Errorf("%+v", results[0])
	}
}

type resolverFunc func(name string) ([]string, error)

func (f resolverFunc) LookupTXT(_ context.Context, name string) ([]string, error) { return f(name) }

// TestBodyFails shows that a body that cannot be read is nobody's fault, and that nothing of it passes.
func TestBodyFails(t *testing.T) {
	header, body := usual(1000)
	h, content := cut(signed(t, ed25519Key(), "v=1; a=ed25519-sha256; d=d.example; s=e;", usualNames, header, body))
	z := zone{"e._domainkey.d.example": record(t, ed25519Key())}
	results, _ := Verify(t.Context(), h, iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader([]byte(content)))), z, Options{})
	if len(results) != 1 || results[0].Status != TempError || results[0].Cause != BodyRead {
		t.Errorf("%+v", results)
	}
}
