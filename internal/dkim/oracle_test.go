package dkim

import (
	"bytes"
	"context"
	"crypto"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// seed makes other random messages: for a hunt, go test -run Against -seed $RANDOM.
var seed = flag.Uint64("seed", 6376, "of random messages")

// cleanBody makes a body of lines that end in CRLF, as the edge lets in.
func cleanBody(r *rand.Rand) string {
	var b strings.Builder
	pieces := []string{" ", "\t", "  ", "a", "Text.", "=20", "ä", strings.Repeat("x", 130), ".", "-- "}
	for range r.IntN(12) {
		for range r.IntN(6) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		b.WriteString(strings.Repeat("\r\n", 1+r.IntN(3)))
	}
	return b.String()
}

// randomHeader makes fields with odd white space and folds, one From among them.
func randomHeader(r *rand.Rand) string {
	names := []string{"To", "Cc", "Subject", "SUBJECT", "Date", "Received", "received", "Message-ID", "X-A", "MIME-Version", "List-Id", "Dkim-Signature-X"}
	spaces := []string{" ", "  ", "\t", "\r\n ", "\r\n\t", " \r\n  "}
	value := func() string {
		var b strings.Builder
		for range r.IntN(6) {
			if r.IntN(2) == 0 {
				b.WriteString(spaces[r.IntN(len(spaces))])
			}
			b.WriteString([]string{"a", "<b@c.example>", "d;e=f", ":", "ä", "\"x\""}[r.IntN(6)])
		}
		return b.String()
	}
	fields := []string{"From:" + spaces[r.IntN(3)] + "Anna <anna@d.example>\r\n"}
	lawful, have := r.IntN(3) > 0, map[string]bool{"date": true}
	if lawful {
		fields = append(fields, "Date:"+value()+"\r\n")
	}
	for range r.IntN(10) {
		name := names[r.IntN(len(names))]
		if low := strings.ToLower(name); lawful && have[low] && once(low) {
			continue
		} else {
			have[low] = true
		}
		fields = append(fields, name+":"+value()+"\r\n")
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return strings.Join(fields, "")
}

// signers are the keys of the random messages, by selector.
func signers(t testing.TB) (map[string]crypto.Signer, zone) {
	keys := map[string]crypto.Signer{"r1": rsaKey(t, 1024), "r2": rsaKey(t, 2048), "e": ed25519Key()}
	z := zone{}
	for s, k := range keys {
		z[s+"._domainkey.d.example"] = record(t, k)
	}
	return keys, z
}

// randomSigned is a message that go-msgauth signed, in any way that it can.
func randomSigned(t testing.TB, r *rand.Rand, keys map[string]crypto.Signer) string {
	t.Helper()
	selector := []string{"r1", "r1", "r2", "e", "e"}[r.IntN(5)]
	o := &msgauth.SignOptions{Domain: "d.example", Selector: selector, Signer: keys[selector],
		HeaderCanonicalization: []msgauth.Canonicalization{"simple", "relaxed"}[r.IntN(2)],
		BodyCanonicalization:   []msgauth.Canonicalization{"simple", "relaxed"}[r.IntN(2)]}
	if r.IntN(3) == 0 {
		o.Identifier = []string{"anna@d.example", "@mail.d.example", "a+b@x.y.d.example"}[r.IntN(3)]
	}
	if r.IntN(3) > 0 {
		o.HeaderKeys = []string{"From", "to", "Subject", "Date", "X-Absent", "Received", "received"}[:1+r.IntN(7)]
		if r.IntN(3) == 0 {
			o.HeaderKeys = append(o.HeaderKeys, "from", "to", "subject")
		}
	}
	if r.IntN(4) == 0 {
		o.Expiration = time.Now().Add(time.Hour)
		o.QueryMethods = []msgauth.QueryMethod{msgauth.QueryMethodDNSTXT}
	}
	var out bytes.Buffer
	if err := msgauth.Sign(&out, strings.NewReader(randomHeader(r)+"\r\n"+cleanBody(r)), o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// cut cuts a message with CRLF into its fields and its body.
func cut(message string) (*Header, string) {
	if body, none := strings.CutPrefix(message, "\r\n"); none {
		return NewHeader(nil), body
	}
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	return NewHeader(headerOf(header + "\r\n")), body
}

// TestAgainstSigner verifies what another implementation signed.
func TestAgainstSigner(t *testing.T) {
	keys, z := signers(t)
	r := rand.New(rand.NewPCG(*seed, 2))
	for range 600 {
		message := randomSigned(t, r, keys)
		if r.IntN(4) == 0 {
			var again bytes.Buffer
			if err := msgauth.Sign(&again, strings.NewReader(message), &msgauth.SignOptions{Domain: "d.example", Selector: "e", Signer: keys["e"],
				HeaderKeys: []string{"from", "dkim-signature", "dkim-signature", "to"}}); err != nil {
				t.Fatal(err)
			}
			message = again.String()
		}
		h, body := cut(message)
		results, _ := Verify(t.Context(), h, strings.NewReader(body), z, Options{})
		for _, got := range results {
			if got.Status != Pass {
				t.Fatalf("%s: %s\n%q", got.Status, got.Reason, message)
			}
		}
		if len(results) == 0 {
			t.Fatalf("no signature\n%q", message)
		}
	}
}

// mutate changes a message a little: what may not matter, and what must.
func mutate(r *rand.Rand, m string) string {
	header, body, _ := strings.Cut(m, "\r\n\r\n")
	fields := headerOf(header + "\r\n")
	i := r.IntN(len(fields))
	raw := string(fields[i].Raw)
	at := r.IntN(len(m))
	switch r.IntN(12) {
	case 0:
		return m[:at] + string(byte(33+r.IntN(90))) + m[at:]
	case 1:
		return m[:at] + m[min(at+1, len(m)):]
	case 2:
		return m[:at] + string(m[at]^0x20) + m[at+1:]
	case 3:
		body += []string{"\r\n", "more\r\n", " \r\n", "\t", "x"}[r.IntN(5)]
	case 4:
		body = strings.Replace(body, " ", []string{"  ", "\t", ""}[r.IntN(3)], 1)
	case 5:
		raw = strings.Replace(raw, ": ", []string{":", " : ", ":\r\n\t", ":   "}[r.IntN(4)], 1)
	case 6:
		raw = strings.ToUpper(raw[:min(4, len(raw))]) + raw[min(4, len(raw)):]
	case 7:
		raw += raw // the same field twice
	case 8:
		raw = strings.Replace(raw, ";", []string{" ;", ";\r\n ", "; l=3;", "; x=99999999999;", "; i=@D.example;", ";;", "; a=rsa-sha256;"}[r.IntN(7)], 1)
	case 9:
		j := r.IntN(len(fields))
		fields[i], fields[j] = fields[j], fields[i]
		raw = string(fields[i].Raw)
	case 10:
		raw = "From: else@where.example\r\n" + raw
	default:
		raw = strings.TrimSuffix(raw, "\r\n") + []string{" ", "\r\n ", "x", ";"}[r.IntN(4)] + "\r\n"
	}
	var out strings.Builder
	for k := range fields {
		if k == i {
			out.WriteString(raw)
		} else {
			out.Write(fields[k].Raw)
		}
	}
	return out.String() + "\r\n" + body
}

// theirs is what go-msgauth says of each signature, nil without any: it refuses some messages as a whole.
func theirs(message string, z zone) ([]*msgauth.Verification, bool) {
	out, err := msgauth.VerifyWithOptions(strings.NewReader(message), &msgauth.VerifyOptions{MaxVerifications: DefaultSignatures,
		LookupTXT: func(name string) ([]string, error) { return z.LookupTXT(context.Background(), name) }})
	return out, err == nil || err == msgauth.ErrTooManySignatures
}

// bare reports whether a CR or an LF stands alone: go-msgauth mends it, the edge refuses it, we take it as it is.
func bare(message string) bool {
	return strings.ContainsAny(strings.ReplaceAll(message, "\r\n", ""), "\r\n")
}

// noField reports whether a line of the header section is no field: go-msgauth takes it for a field of that name.
func noField(h *Header) bool {
	return slices.ContainsFunc(h.Fields, func(f Field) bool { return !bytes.Contains(f.Raw, []byte(":")) })
}

// explained names why our result differs from the other's, or returns "". Each is one of docs/rfc.md.
func explained(h *Header, message string, got *Result) string {
	value, _ := h.Fields[got.Field].Value()
	tags, err := ParseTags(string(value))
	_, length := tags.Get("l")
	switch {
	case bare(message):
		return "bare CR or LF"
	case noField(h):
		return "a line that is no field is one there"
	case got.Status != Pass && (err != nil || got.Cause == BadSyntax || got.Cause == BadTime || got.Cause == Doubled || got.Cause == Bound):
		return "stricter: " + got.Cause.String()
	case got.Status == Pass && length:
		return "l= always fails there"
	case got.Status == Pass:
		if i, ok := tags.Get("i"); ok && strings.ToLower(i) != i {
			return "i= is compared with its case there"
		}
		if d, _ := tags.Get("d"); !isASCII(d) {
			return "U-labels are asked for as they are there"
		}
		if slices.Contains(got.Names, "dkim-signature") {
			return "the signature itself is not chosen here"
		}
		if k, _ := tags.Get("a"); k != strings.ToLower(k) {
			return "the case of a= counts there"
		}
		if c, _ := tags.Get("c"); c != strings.ToLower(c) {
			return "the case of c= counts there"
		}
		for _, tag := range tags {
			if strings.HasSuffix(tag.Name, "b") && tag.Name != "b" {
				return "every tag that ends in b is emptied there"
			}
			if tag.Name != "b" && strings.Contains(strings.ReplaceAll(tag.Value, " ", ""), "b=") {
				return "every b= is emptied there"
			}
		}
		return ""
	}
	return ""
}

// compare holds our results against go-msgauth's.
func compare(t testing.TB, message string, z zone) (why map[string]int) {
	t.Helper()
	h, body := cut(message)
	results, _ := Verify(t.Context(), h, strings.NewReader(body), z, Options{})
	others, ok := theirs(message, z)
	why = map[string]int{}
	if !ok || len(others) != len(results) {
		for i := range results {
			if results[i].Status == Pass && ok && !noField(h) && !bare(message) {
				t.Errorf("a signature passes that the other does not see\n%q", message)
			}
		}
		return why
	}
	for i := range results {
		got, pass := &results[i], others[i].Err == nil
		if (got.Status == Pass) == pass {
			why["same"]++
			continue
		}
		reason := explained(h, message, got)
		if reason == "" {
			t.Errorf("signature %d: %s (%s), the other: %v\n%q", i, got.Status, got.Reason, others[i].Err, message)
		}
		why[reason]++
	}
	return why
}

// TestAgainstOracle changes signed messages and compares what both say of them.
func TestAgainstOracle(t *testing.T) {
	keys, z := signers(t)
	r := rand.New(rand.NewPCG(*seed, 3))
	all := map[string]int{}
	for range 2000 {
		message := randomSigned(t, r, keys)
		for range r.IntN(3) {
			message = mutate(r, message)
		}
		if !strings.Contains(message, "\r\n\r\n") {
			continue // go-msgauth refuses it whole
		}
		for reason, n := range compare(t, message, z) {
			all[reason] += n
		}
		if t.Failed() {
			return
		}
	}
	if all["same"] < 1500 {
		t.Errorf("too little was compared: %v", all)
	}
	t.Log(fmt.Sprint(all))
}
