package arc

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gatepost/internal/dkim"
)

// pkcs1 is a key as python3-dkim reads it.
func pkcs1(t *testing.T, text string) string {
	t.Helper()
	k, err := ReadKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k.(*rsa.PrivateKey))})
	if again, err := ReadKey(out); err != nil || !k.(*rsa.PrivateKey).Equal(again) {
		t.Fatalf("PKCS #1 is read as %v, %v", again, err)
	}
	return string(out)
}

// TestSigningSuite verifies what the public suite wants sealers to make: its sets are right in our eyes too, also those that
// mark a broken chain, and we would add them where it does.
func TestSigningSuite(t *testing.T) {
	s := readSuite(t, "testdata/suite/signing.json")
	if len(s.Tests) < 15 {
		t.Fatalf("only %d cases", len(s.Tests))
	}
	z := zone{}
	k, _ := key(t, RSA2048, "sel", "ours.example", z)
	for _, tt := range s.Tests {
		t.Run(tt.Name, func(t *testing.T) {
			message := crlf(tt.Message)
			before := verify(t, message, s.Keys[tt.Keys])
			fields, body := split(message)
			_, n, err := (&Sealer{Domain: "ours.example", Selector: "sel", Key: k}).Seal(&Draft{Header: fields, Body: strings.NewReader(body), Chain: before, Now: now})
			if tt.Set.AS == "" {
				if !errors.Is(err, ErrEnded) {
					t.Errorf("the suite adds nothing, and we say %v", err)
				}
				return
			}
			set := "ARC-Seal: " + standard(tt.Set.AS) + "ARC-Message-Signature: " + standard(tt.Set.AMS) + "ARC-Authentication-Results: " + fold(tt.Set.AAR)
			after := verify(t, set+message, s.Keys[tt.Keys])
			if n != after.Highest || err != nil {
				t.Errorf("we would add i=%d (%v), the suite adds i=%d", n, err, after.Highest)
			}
			if want := map[bool]Result{true: Fail, false: Pass}[before.Result == Fail]; after.Result != want || after.Ended != (want == Fail) {
				t.Errorf("the suite's chain is %s (%s), want %s", after.Result, after.Reason, want)
			}
		})
	}
}

// standard is a tag list in the one form that the suite's README describes: no white space but one behind each semicolon.
func standard(s string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		b.WriteString(strings.TrimSpace(line))
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			b.WriteByte(' ')
		}
	}
	return b.String() + "\r\n"
}

// fold makes a field of the lines of a case.
func fold(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\r\n ") + "\r\n"
}

// TestBrokenChainIsMarked seals a chain that was broken once, with a set that holds alone (section 5.1.2), and never again.
func TestBrokenChainIsMarked(t *testing.T) {
	z := zone{}
	k, _ := key(t, RSA2048, "sel", "ours.example", z)
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	broken := strings.Replace(sealed(t, s, plain()["plain"], z), "hello", "changed", 1)
	marked := sealed(t, s, broken, z)
	c := verify(t, marked, z)
	if c.Result != Fail || !c.Ended || c.Highest != 2 || c.Sets != nil {
		t.Fatalf("%+v", c)
	}
	fields, body := split(marked)
	if set, _, err := s.Seal(&Draft{Header: fields, Body: strings.NewReader(body), Chain: c, Now: now}); !errors.Is(err, ErrEnded) || set != nil {
		t.Errorf("sealed once more: %v", err)
	}
	// The set signs itself as if it were alone.
	alone := strings.Replace(strings.Split(marked, "ARC-Seal: i=1;")[0], "cv=fail", "cv=none", 1)
	p := Check(dkim.NewHeader(onlyFields(alone)), Options{Now: now})
	if p.chain.Highest != 2 {
		t.Fatalf("%+v", p.chain)
	}
	h := dkim.NewHeaderHasher(dkim.Relaxed)
	set := onlyFields(strings.Split(marked, "ARC-Seal: i=1;")[0])
	h.Field(&set[2])
	h.Field(&set[1])
	value, _ := set[0].Value()
	_, as, err := readSeal(string(value))
	if err != nil {
		t.Fatal(err)
	}
	h.Own(&set[0], &as.b)
	var keys dkim.Keys
	keys.Want("sel", "ours.example")
	keys.Fetch(t.Context(), z)
	var out Signature
	if as.check(&out, h.Sum(), &keys); out.Result != Pass {
		t.Errorf("the seal with cv=fail does not hold over its own set: %+v", out)
	}
}

func onlyFields(s string) []dkim.Field {
	fields, _ := split(s)
	return fields
}

func TestNoSeal(t *testing.T) {
	z := zone{}
	k, _ := key(t, RSA2048, "sel", "ours.example", z)
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	fields, _ := split(plain()["plain"])
	fault := errors.New("fault")
	tests := []struct {
		name string
		d    Draft
		want error
	}{
		{"DNS could not tell", Draft{Chain: Chain{Result: Unknown, Highest: 1}}, ErrUnknown},
		{"full", Draft{Chain: Chain{Result: Pass, Highest: MaxSets}}, ErrFull},
		{"broken and full", Draft{Chain: Chain{Result: Fail, Highest: MaxSets}}, ErrFull},
		{"body cannot be read", Draft{Header: fields, Body: iotest.ErrReader(fault)}, fault},
	}
	for _, tt := range tests {
		if tt.d.Body == nil {
			tt.d.Body = strings.NewReader("")
		}
		if set, _, err := s.Seal(&tt.d); !errors.Is(err, tt.want) || set != nil {
			t.Errorf("%s: %q, %v", tt.name, set, err)
		}
	}
	// A chain that goes out otherwise than it was verified is never vouched for.
	d := Draft{Header: fields, Body: strings.NewReader(""), Chain: Chain{Result: Pass, Highest: 1}}
	if set, _, err := s.Seal(&d); err == nil || set != nil {
		t.Errorf("%q, %v", set, err)
	}
	s.Key = nil
	if _, _, err := s.Seal(&Draft{Header: fields, Body: strings.NewReader("")}); err == nil {
		t.Error("sealed without a key")
	}
}

// TestFifty has a chain of as many sets as there may be, and one more.
func TestFifty(t *testing.T) {
	z := zone{}
	k, _ := key(t, Ed25519, "sel", "ours.example", z)
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	message := plain()["plain"]
	for range MaxSets {
		message = sealed(t, s, message, z)
	}
	c := verify(t, message, z)
	if c.Result != Pass || len(c.Sets) != MaxSets {
		t.Fatalf("%s: %s", c.Result, c.Reason)
	}
	more := strings.ReplaceAll(message[:strings.Index(message, "ARC-Seal: i=49;")], "i=50;", "i=51;") + message
	if c := verify(t, more, z); c.Result != Fail || c.Sets != nil {
		t.Errorf("51 sets: %s", c.Result)
	}
	if c := verify(t, message[:strings.Index(message, "ARC-Seal: i=49;")]+message, z); c.Result != Fail || c.Sets != nil {
		t.Errorf("one set twice: %s (%s)", c.Result, c.Reason)
	}
}

func TestKeys(t *testing.T) {
	for _, kind := range [...]string{RSA2048, Ed25519} {
		z := zone{}
		k, _ := key(t, kind, "sel", "ours.example", z)
		other, _ := key(t, kind, "other", "ours.example", z)
		record, _ := Record(k)
		if Publishes(z["other._domainkey.ours.example"], k) || Publishes("v=DKIM1; p=", k) || Publishes("junk", k) || !Publishes("v=DKIM1; t=s; "+record[len("v=DKIM1; "):], k) {
			t.Errorf("%s: wrong records are taken for ours, or ours is not", kind)
		}
		if Publishes(record, other) {
			t.Errorf("%s: another key is taken for ours", kind)
		}
	}
	for _, text := range []string{"", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if k, err := ReadKey([]byte(text)); err == nil {
			t.Errorf("%q is read as %T", text, k)
		}
	}
	if _, err := MakeKey("dsa"); err == nil {
		t.Error("a key of an unknown kind was made")
	}
}

// BenchmarkSeal seals a message of 10 KB without a chain.
func BenchmarkSeal(b *testing.B) {
	text, _ := MakeKey(RSA2048)
	k, _ := ReadKey(text)
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	fields, _ := split(plain()["plain"])
	body := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 140)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Seal(&Draft{Header: fields, Body: io.Reader(strings.NewReader(body)), Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}
