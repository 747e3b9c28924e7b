package signer

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const mail = "Received: from a by b\r\nFrom: Anna  <anna@a.example>\r\nTo: b@b.example\r\nSubject: folded\r\n\tsubject\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\n" +
	"Message-ID: <1@a.example>\r\n\r\nline  with \t blanks  \r\n\r\nend\r\n\r\n\r\n"

// verify asks python3-dkim, which knows nothing of us.
const verify = `
import sys, json, dkim
q = json.load(sys.stdin)
zone = q["zone"]
message = q["message"].encode()
def txt(name, timeout=5):
    return zone.get(name.decode().rstrip(".").lower(), "").encode() or None
def verify(i):
    try:
        return "pass" if dkim.DKIM(message).verify(idx=i, dnsfunc=txt) else "fail"
    except dkim.ValidationError:
        return "fail"
print("dkim", " ".join(verify(i) for i in range(q["signatures"])))
cv, results, reason = dkim.arc_verify(message, dnsfunc=txt)
print("arc", (cv or b"none").decode())
`

func ask(t *testing.T, message []byte, signatures int, keys ...*Key) string {
	t.Helper()
	zone := map[string]string{}
	for _, k := range keys {
		name, text, _ := strings.Cut(strings.TrimSpace(k.Record()), ". TXT ")
		zone[name] = strings.ReplaceAll(strings.Trim(text, `"`), `" "`, "")
	}
	in, err := json.Marshal(map[string]any{"zone": zone, "message": string(message), "signatures": signatures})
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/usr/bin/python3", "-c", verify)
	c.Stdin = bytes.NewReader(in)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("python3-dkim: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestSigner holds what is signed against an independent verifier.
func TestSigner(t *testing.T) {
	rsa, err := RSA("a.example", "r", 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := Ed25519("b.example", "e")
	if err != nil {
		t.Fatal(err)
	}
	other := rsa.For("list.example", "l")
	must := func(message []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
	signed := must(rsa.Sign(must(ed.Sign([]byte(mail), "h=from:from:subject:subject:date", "t=1700000000"))))
	once := must(other.Seal(signed, "none", "dkim=pass header.d=a.example; dmarc=pass header.from=a.example"))
	twice := must(rsa.Seal(once, "pass", "arc=pass"))
	for _, c := range []struct {
		about   string
		message []byte
		n       int
		want    string
	}{
		{"signed twice", signed, 2, "dkim pass pass\narc none"},
		{"a body that was changed", append(bytes.Clone(signed), "footer\r\n"...), 2, "dkim fail fail\narc none"},
		{"sealed", once, 2, "dkim pass pass\narc pass"},
		{"sealed twice", twice, 2, "dkim pass pass\narc pass"},
		{"sealed, then changed", append(bytes.Clone(twice), "footer\r\n"...), 2, "dkim fail fail\narc fail"},
		{"no body", must(rsa.Sign([]byte("From: a@a.example\r\n\r\n"))), 1, "dkim pass\narc none"},
		{"a part of the body", append(must(rsa.Sign([]byte(mail), "l=7")), "footer\r\n"...), 1, "dkim pass\narc none"},
	} {
		if got := ask(t, c.message, c.n, rsa, ed, other); got != c.want {
			t.Errorf("%s: got %q, want %q\n%s", c.about, got, c.want, c.message)
		}
	}
}
