package arc

import (
	"bufio"
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"gatepost/internal/dkim"
)

// oracle is python3-dkim in a process of its own.
type oracle struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

type question struct {
	Do                        string `json:"do"`
	Message                   []byte `json:"message"`
	Zone                      zone   `json:"zone,omitempty"`
	Selector, Domain, Key, ID string
}

// MarshalJSON names the rest as the script does.
func (q question) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"do": q.Do, "message": q.Message, "zone": q.Zone, "selector": q.Selector, "domain": q.Domain, "key": q.Key, "id": q.ID})
}

type answer struct {
	CV, Why, Error  string
	Seals, Messages []bool
	Set             []byte
}

// newOracle starts it. It fails without python3-dkim, python3-authres and python3-nacl, which scripts/test installs.
func newOracle(t *testing.T) *oracle {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "testdata/oracle.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errors bytes.Buffer
	cmd.Stderr = &errors
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python3-dkim: %v\n%s", err, errors.String())
		}
	})
	o := &oracle{in: in, out: bufio.NewScanner(out)}
	o.out.Buffer(nil, 16<<20)
	return o
}

func (o *oracle) ask(t *testing.T, q question) (a answer) {
	t.Helper()
	b, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(o.in, "%s\n", b); err != nil || !o.out.Scan() {
		t.Fatalf("python3-dkim does not answer: %v; is python3-dkim installed (scripts/test installs it)?", err)
	}
	if err := json.Unmarshal(o.out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// key makes a private key and publishes it.
func key(t *testing.T, kind, selector, domain string, z zone) (crypto.Signer, string) {
	t.Helper()
	text, err := MakeKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	record, err := Record(k)
	if err != nil || !Publishes(record, k) {
		t.Fatalf("%q does not publish its key, %v", record, err)
	}
	z[dkim.KeyName(selector, domain)] = record
	return k, string(text)
}

// seal seals a message of ours and returns it with the set above it.
func sealed(t *testing.T, s *Sealer, message string, z zone) string {
	t.Helper()
	return sealedAs(t, s, message, message, z)
}

// sealedAs seals a message that was changed since it came in.
func sealedAs(t *testing.T, s *Sealer, came, message string, z zone) string {
	t.Helper()
	fields, body := split(message)
	set, _, err := s.Seal(&Draft{Header: fields, Body: strings.NewReader(body), Chain: verify(t, came, z), Now: now,
		Results: s.Domain + ";\r\n\tspf=pass smtp.mailfrom=a@d1.example;\r\n\tdmarc=pass header.from=d1.example"})
	if err != nil {
		t.Fatal(err)
	}
	return string(set) + message
}

// plain are messages in many forms.
func plain() map[string]string {
	head := "Received: from a by b;\r\n\tThu, 26 Nov 2026 10:00:00 +0000\r\nFrom: A <a@d1.example>\r\nTo: b@d2.example\r\n" +
		"Subject: =?utf-8?Q?h=C3=A4?=\r\n folded  and \t white\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@d1.example>\r\n"
	return map[string]string{
		"plain":                 head + "\r\nhello\r\n",
		"empty lines":           head + "\r\nhello\r\n\r\n\r\n",
		"white space":           head + "\r\n  hello \t world  \r\n\t\r\n x\r\n",
		"no line end":           head + "\r\nhello",
		"empty body":            head + "\r\n",
		"8 bit":                 head + "Content-Type: text/plain; charset=utf-8\r\n\r\nhällo\r\n",
		"two subjects":          "Subject: one\r\n" + head + "\r\nhello\r\n",
		"signed by DKIM":        "DKIM-Signature: v=1; a=rsa-sha256; d=d1.example; s=x; h=from; bh=eA==; b=eA==\r\n" + head + "\r\nhello\r\n",
		"an ARC field's name":   "X-ARC-Seal: i=1\r\n" + head + "\r\nhello\r\n",
		"only what is required": "From: a@d1.example\r\n\r\nhello\r\n",
	}
}

// TestWhatWeSealPythonVerifies adds up to four sets and has python3-dkim verify each state.
func TestWhatWeSealPythonVerifies(t *testing.T) {
	o, z := newOracle(t), zone{}
	for _, kind := range [...]string{RSA2048, Ed25519} {
		k, _ := key(t, kind, "sel", kind+".example", z)
		s := &Sealer{Domain: kind + ".example", Selector: "sel", Key: k}
		for name, message := range plain() {
			for n := 1; n <= 4; n++ {
				message = sealed(t, s, message, z)
				if c := verify(t, message, z); c.Result != Pass || len(c.Sets) != n || c.OldestPass != 0 || c.Sets[n-1].Seal.Domain != s.Domain {
					t.Fatalf("%s, %s: we find %+v", kind, name, c)
				}
				a := o.ask(t, question{Do: "verify", Message: []byte(message), Zone: z})
				if kind == RSA2048 && (a.CV != "pass" || len(a.Seals) != n) { // python3-dkim knows no Ed25519 in ARC
					t.Fatalf("%s, %s, %d sets: python3-dkim finds %+v", kind, name, n, a)
				}
			}
		}
	}
}

// TestWhatPythonSealsWeVerify mixes sets of python3-dkim with ours.
func TestWhatPythonSealsWeVerify(t *testing.T) {
	o, z := newOracle(t), zone{}
	ours, _ := key(t, RSA2048, "ours", "ours.example", z)
	_, theirs := key(t, RSA2048, "theirs", "theirs.example", z)
	s := &Sealer{Domain: "ours.example", Selector: "ours", Key: ours}
	for name, message := range plain() {
		for n := 1; n <= 4; n++ {
			if n%2 == 0 {
				message = sealed(t, s, message, z)
			} else {
				arc := "pass"
				if n == 1 {
					arc = "none"
				}
				results := "Authentication-Results: theirs.example; arc=" + arc + "; dmarc=pass header.from=d1.example\r\n"
				pem := pkcs1(t, theirs)
				a := o.ask(t, question{Do: "sign", Message: []byte(results + message), Selector: "theirs", Domain: "theirs.example", Key: pem, ID: "theirs.example"})
				if a.Error != "" || len(a.Set) == 0 {
					t.Fatalf("%s: python3-dkim does not sign: %+v", name, a)
				}
				message = string(a.Set) + message
			}
			if c := verify(t, message, z); c.Result != Pass || len(c.Sets) != n || c.OldestPass != 0 {
				t.Fatalf("%s, %d sets: we find %+v in\n%s", name, n, c, message)
			}
		}
	}
}
