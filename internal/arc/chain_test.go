package arc

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/dkim"
)

// TestAppendixB reads the example of RFC 8617 appendix B. Its keys are 512 bits long and published nowhere, so that no
// verifier can let it pass; what it says is read.
func TestAppendixB(t *testing.T) {
	data, err := os.ReadFile("testdata/rfc8617-appendix-b.eml")
	if err != nil {
		t.Fatal(err)
	}
	c := verify(t, crlf(string(data)), zone{})
	if c.Result != Fail || c.Reason != "ARC-Message-Signature i=3: no key for signature" || len(c.Sets) != 3 || c.Highest != 3 {
		t.Fatalf("%+v", c)
	}
	for i, want := range [...]struct{ domain, cv, results string }{
		{"lists.example.org", "none", "lists.example.org; spf=pass"}, {"gmail.example", "pass", "gmail.example; spf=fail"},
		{"clochette.example.org", "pass", "clochette.example.org; spf=fail"}} {
		s := c.Sets[i]
		if s.Instance != i+1 || s.Seal.Domain != want.domain || s.Message.Domain != want.domain || s.CV != want.cv || !strings.HasPrefix(s.Results, want.results) || !s.Message.Whole {
			t.Errorf("i=%d: %+v", i+1, s)
		}
	}
}

// chain is a message with three sets of three sealers, the second of which changed its subject.
func chain(t *testing.T, z zone) string {
	t.Helper()
	message := plain()["plain"]
	for i, domain := range [...]string{"one.example", "two.example", "three.example"} {
		k, _ := key(t, Ed25519, "sel", domain, z)
		came := message
		if i == 1 {
			message = strings.Replace(message, "Subject: ", "Subject: [list] ", 1)
		}
		message = sealedAs(t, &Sealer{Domain: domain, Selector: "sel", Key: k}, came, message, z)
	}
	return message
}

func TestOldestPass(t *testing.T) {
	z := zone{}
	message := chain(t, z)
	c := verify(t, message, z)
	if c.Result != Pass || c.OldestPass != 2 || c.Sets[0].Message.Result != Fail || c.Sets[1].Message.Result != Pass || c.Sets[2].Message.Result != Pass {
		t.Fatalf("%+v", c)
	}
	fields, body := split(message)
	c = Verify(t.Context(), z, dkim.NewHeader(fields), strings.NewReader(body), Options{Now: now})
	if c.Result != Pass || c.OldestPass != -1 || c.Sets[1].Message.Result != None {
		t.Fatalf("without the older ones: %+v", c)
	}
}

// TestDNS shows that what DNS cannot tell is neither pass nor fail, unless something else is wrong for good.
func TestDNS(t *testing.T) {
	z := zone{}
	message := chain(t, z)
	with := func(name, text string) zone {
		out := zone{}
		for k, v := range z {
			out[k] = v
		}
		if out[name] = text; text == "" {
			delete(out, name)
		}
		return out
	}
	tests := []struct {
		name    string
		z       zone
		message string
		want    Result
		reason  string
	}{
		{"newest key unknown", with("sel._domainkey.three.example", "servfail"), message, Unknown, "ARC-Message-Signature i=3: key lookup failed"},
		{"older key unknown", with("sel._domainkey.one.example", "servfail"), message, Unknown, "ARC-Seal i=1: key lookup failed"},
		{"older key gone", with("sel._domainkey.one.example", ""), message, Fail, "ARC-Seal i=1: no key for signature"},
		{"older key revoked", with("sel._domainkey.one.example", "v=DKIM1; p="), message, Fail, "ARC-Seal i=1: key revoked"},
		{"another key", with("sel._domainkey.two.example", z["sel._domainkey.one.example"]), message, Fail, "ARC-Seal i=2: signature does not match"},
		{"not for mail", with("sel._domainkey.two.example", "s=tls;"+z["sel._domainkey.two.example"][len("v=DKIM1;"):]), message, Fail, "ARC-Seal i=2: the key is not for mail"},
		{"unknown, and another broken", with("sel._domainkey.one.example", "servfail"), strings.Replace(message, "i=2; two.example", "i=2; evil.example", 1), Fail, "ARC-Seal i=3: signature does not match"},
		{"unknown, and the body changed", with("sel._domainkey.three.example", "servfail"), strings.Replace(message, "hello", "hullo", 1), Fail, "ARC-Message-Signature i=3: the body was changed"},
	}
	for _, tt := range tests {
		if c := verify(t, tt.message, tt.z); c.Result != tt.want || c.Reason != tt.reason {
			t.Errorf("%s: %s, %s", tt.name, c.Result, c.Reason)
		}
	}
}

// TestNothingCanBeChanged changes each octet of a chain and of what it covers: none of the changes may pass unless it is
// white space to the canonicalisation, or trace that nobody signs.
func TestNothingCanBeChanged(t *testing.T) {
	z := zone{}
	message := chain(t, z)
	free := strings.Index(message, "Received: ")
	end := strings.Index(message, "From: ")
	for i := 0; i < len(message); i++ {
		if i >= free && i < end || strings.ContainsRune(" \t\r\n", rune(message[i])) {
			continue
		}
		changed := []byte(message)
		changed[i] ^= 0x01
		if bytes.EqualFold(changed[i:i+1], []byte{message[i]}) || strings.ContainsRune(" \t\r\n", rune(changed[i])) {
			continue
		}
		if c := verify(t, string(changed), z); c.Result == Pass {
			t.Fatalf("octet %d changed from %q to %q passes, in %q", i, message[i], changed[i], message[max(0, i-30):i+10])
		}
	}
}

// TestDoubled shows that a field above the signed ones is told.
func TestDoubled(t *testing.T) {
	z := zone{}
	k, _ := key(t, Ed25519, "sel", "ours.example", z)
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	for before, tests := range map[string]map[string]string{
		"":                    {"": "", "Subject: other\r\n": "subject", "X: y\r\n": "", "CC: x\r\n": "", "Subject: a\r\nTO: b\r\nsubject: c\r\n": "subject to"},
		"Subject: second\r\n": {"": "", "Subject: third\r\n": "subject"},
	} {
		message := sealed(t, s, before+plain()["plain"], z)
		for added, want := range tests {
			c := verify(t, added+message, z)
			got := slices.Clone(c.Sets[0].Message.Doubled)
			slices.Sort(got)
			if c.Result != Pass || strings.Join(got, " ") != want {
				t.Errorf("%q above %q: %s, doubled %q, want %q", added, before, c.Result, got, want)
			}
		}
	}
}

func TestExpired(t *testing.T) {
	m := "i=1; a=rsa-sha256; d=a.example; s=b; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA; x="
	for x, want := range map[string]string{"1": "expired", "99999999999": "no key for signature"} {
		message := "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=b; b=AAAA\r\nARC-Message-Signature: " + m + x +
			"\r\nARC-Authentication-Results: i=1; a.example; none\r\nFrom: a@b.example\r\n\r\n"
		if c := verify(t, message, zone{}); c.Result != Fail || !strings.HasSuffix(c.Reason, want) {
			t.Errorf("x=%s: %s, %s", x, c.Result, c.Reason)
		}
	}
}

func TestInstanceOfResults(t *testing.T) {
	tests := []struct {
		in, rest string
		instance int
	}{
		{" i=1; a.example; none", "a.example; none", 1},
		{"i = 50 ;a", "a", 50},
		{" (i=2; (nested\\)) i=3;) i (x) =\r\n\t7 (y) ; a.example;\r\n\tdmarc=pass", "a.example;\r\n\tdmarc=pass", 7},
		{"i=0; a", "", 0}, {"i=51; a", "", 0}, {"i=01; a", "", 0}, {"i=; a", "", 0}, {"I=1; a", "", 0}, {"a; i=1", "", 0},
		{"i=1 a", "", 1}, {"", "", 0}, {"(i=1; a", "", 0}, {"i=999999999999999999999; a", "", 0},
	}
	for _, tt := range tests {
		n, rest, err := readResults(tt.in)
		if n != tt.instance || rest != tt.rest || (err == nil) != (tt.rest != "") {
			t.Errorf("%q: i=%d, %q, %v", tt.in, n, rest, err)
		}
	}
}

// TestPythonOnSuite has python3-dkim verify the same suite. Where it differs from us is listed, and explained in docs/rfc.md.
func TestPythonOnSuite(t *testing.T) {
	o := newOracle(t)
	s := readSuite(t, "testdata/suite/validation.json")
	differs := map[string]string{}
	for _, tt := range s.Tests {
		message := crlf(tt.Message)
		z := zone{}
		for name, text := range s.Keys[tt.Keys] {
			z[name] = strings.ReplaceAll(text, "\n", "")
		}
		ours := verify(t, message, z).Result
		a := o.ask(t, question{Do: "verify", Message: []byte(message), Zone: z})
		theirs := map[string]Result{"none": None, "pass": Pass, "fail": Fail, "": Fail}[a.CV]
		if ours != theirs {
			differs[tt.Name] = a.CV + " " + a.Why + a.Error
		}
	}
	for name, said := range differs {
		if _, known := stricter[name]; !known {
			t.Errorf("%s: python3-dkim says %s", name, said)
		}
	}
}

// BenchmarkVerify verifies chains of three sets on 10 KB, and messages without one.
func BenchmarkVerify(b *testing.B) {
	z := zone{}
	text, _ := MakeKey(RSA2048)
	k, _ := ReadKey(text)
	z["sel._domainkey.ours.example"], _ = Record(k)
	message := plain()["plain"] + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 140)
	s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
	for n := range 4 {
		fields, body := split(message)
		h := dkim.NewHeader(fields)
		c := Verify(b.Context(), z, h, strings.NewReader(body), Options{Now: now, Oldest: true})
		if n == 0 || n == 1 || n == 3 {
			b.Run([...]string{"none", "one", "", "three"}[n], func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Verify(b.Context(), z, h, strings.NewReader(body), Options{Now: now, Oldest: true})
				}
			})
		}
		set, _, err := s.Seal(&Draft{Header: fields, Body: strings.NewReader(body), Chain: c, Now: now, Results: "ours.example; none"})
		if err != nil {
			b.Fatal(err)
		}
		message = string(set) + message
	}
}

// FuzzChain shows that no message makes verifying panic, take long or pass, that what is told of a chain makes sense, and that
// sealing what was verified gives a chain of one more.
func FuzzChain(f *testing.F) {
	z := zone{}
	text, err := MakeKey(Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	k, _ := ReadKey(text)
	z["sel._domainkey.ours.example"], _ = Record(k)
	for _, m := range plain() {
		f.Add(m)
	}
	f.Add("ARC-Seal: i=1; cv=none; a=ed25519-sha256; d=ours.example; s=sel; b=AAAA\r\nARC-Message-Signature: i=1; a=ed25519-sha256; d=ours.example; s=sel; h=from; bh=AAAA; b=AAAA; l=0; x=1\r\nARC-Authentication-Results: i=1; x; dmarc=pass\r\n\r\n")
	f.Add("ARC-Seal: i=50; cv=fail; a=rsa-sha256; d=a; s=b; b=AA\r\nARC-Seal: i=2\r\nARC-Authentication-Results: (((((\r\n\r\nx")
	f.Fuzz(func(t *testing.T, message string) {
		if len(message) > 64<<10 {
			return
		}
		message = "X-Ours: above all, so that a first line of white space is none of the set's\r\n" + message
		fields, body := split(message)
		h := dkim.NewHeader(fields)
		c := Verify(t.Context(), z, h, strings.NewReader(body), Options{Now: time.Unix(1, 0), Oldest: true})
		if c.Result == Pass || len(c.Sets) > MaxSets || c.Highest > MaxSets || (c.Result == None) != (c.Reason == "") || c.Result == None && c.Highest > 0 {
			t.Fatalf("%+v", c)
		}
		if c.Result != None {
			return
		}
		s := &Sealer{Domain: "ours.example", Selector: "sel", Key: k}
		set, n, err := s.Seal(&Draft{Header: fields, Body: strings.NewReader(body), Chain: c, Now: now, Results: "ours.example; none"})
		if err != nil || n != 1 {
			t.Fatalf("i=%d, %v", n, err)
		}
		if len(fields) > 0 && !bytes.HasSuffix(fields[len(fields)-1].Raw, []byte("\r\n")) {
			return // the set would be in front of half a field
		}
		fields, body = split(string(set) + message)
		if again := Verify(t.Context(), z, dkim.NewHeader(fields), strings.NewReader(body), Options{Now: now}); again.Result != Pass {
			t.Fatalf("%s (%s) in\n%q", again.Result, again.Reason, string(set)+message)
		}
	})
}
