package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// rsaKey makes a key, once a size and test binary.
func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	keyMu.Lock()
	defer keyMu.Unlock()
	if keys[bits] == nil {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		keys[bits] = k
	}
	return keys[bits]
}

var (
	keyMu sync.Mutex
	keys  = map[int]*rsa.PrivateKey{}
)

// record is the key record of a private key.
func record(t testing.TB, key crypto.Signer) string {
	t.Helper()
	if k, ok := key.Public().(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
}

func ed25519Key() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
}

// TestParseKey holds the records against what each says, and the ways that they can be broken.
func TestParseKey(t *testing.T) {
	rsa2048 := strings.TrimPrefix(record(t, rsaKey(t, 2048)), "v=DKIM1; p=")
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&rsaKey(t, 2048).PublicKey))
	ed := strings.TrimPrefix(record(t, ed25519Key()), "v=DKIM1; k=ed25519; p=")
	for text, want := range map[string]string{
		"v=DKIM1; k=rsa; p=" + rsa2048: "rsa-sha256 2048",
		"p=" + rsa2048:                 "rsa-sha256 2048",
		"p=" + rsa2048[:100] + " \t" + rsa2048[100:] + " ; ": "rsa-sha256 2048",
		"k=RSA;p=" + pkcs1:                               "rsa-sha256 2048",
		"v=DKIM1;k=ed25519;p=" + ed:                      "ed25519-sha256 256",
		"p=" + rsa2048 + ";t=y":                          "rsa-sha256 2048 testing",
		"p=" + rsa2048 + ";t=s : Y:zz":                   "rsa-sha256 2048 testing strict",
		"p=" + rsa2048 + ";t=":                           "rsa-sha256 2048",
		"p=" + rsa2048 + ";h=sha1:sha256;s=tlsrpt:email": "rsa-sha256 2048",
		"p=" + rsa2048 + ";h=sha1":                       "rsa-sha256 2048 !sha256",
		"p=" + rsa2048 + ";s=tlsrpt":                     "rsa-sha256 2048 !email",
		"p=" + rsa2048 + ";s=*;n=notes; x_y=1;g=none":    "rsa-sha256 2048",
		"v=DKIM1; p=":                                    "revoked",
		"v=DKIM1; p= ;":                                  "revoked",
		"v=DKIM1; k=what; p=":                            "revoked",
		"v=DKIM1":                                        "error",
		"v=DKIM2; p=" + rsa2048:                          "error",
		"v=dkim1; p=" + rsa2048:                          "error",
		"p=" + rsa2048 + "; v=DKIM1":                     "error",
		"k=what; p=" + rsa2048:                           "error",
		"k=ed25519; p=" + rsa2048:                        "error",
		"k=ed25519; p=" + ed[:40] + "AA==":               "error",
		"k=rsa; p=" + ed:                                 "error",
		"p=" + rsa2048[:200]:                             "error",
		"p=!" + rsa2048:                                  "error",
		"p=" + rsa2048 + ";p=" + rsa2048:                 "error",
		"p=" + rsa2048 + ";h=":                           "error",
		"p=" + rsa2048 + ";s=a::b":                       "error",
		"p=" + rsa2048 + ";;":                            "error",
		"":                                               "error",
		"v=spf1 -all":                                    "error",
		"p=" + rsa2048 + ";n=" + strings.Repeat("x", 20<<10):        "error",
		strings.TrimPrefix(record(t, rsaKey(t, 1024)), "v=DKIM1; "): "rsa-sha256 1024",
		weakRecord(4096):           "rsa-sha256 4096",
		weakRecord(512):            "weak",
		weakRecord(1023):           "weak",
		weakRecord(4097):           "error",
		weakRecord(16384):          "error",
		record(t, rsaKey(t, 1024)): "rsa-sha256 1024",
	} {
		got := ""
		k, err := ParseKey(text)
		switch {
		case errors.Is(err, ErrRevoked):
			got = "revoked"
		case errors.Is(err, ErrWeak):
			got = "weak"
		case err != nil:
			got = "error"
		default:
			got = fmt.Sprint(k.Algorithm(), " ", k.Bits)
			for flag, on := range map[string]bool{" !sha256": !k.SHA256, " !email": !k.Email} {
				if on {
					got += flag
				}
			}
			if k.Testing {
				got += " testing"
			}
			if k.Strict {
				got += " strict"
			}
		}
		if got != want {
			t.Errorf("%.80s: %s (%v), want %s", text, got, err, want)
		}
	}
}

// weakRecord is the record of a number of so many bits, of which nobody knows the factors: nothing will be signed by it.
func weakRecord(bits int) string {
	k := rsa.PublicKey{E: 65537, N: oddNumber(bits)}
	return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&k))
}

func TestSign(t *testing.T) {
	sum := sha256.Sum256([]byte("text"))
	other := sha256.Sum256([]byte("Text"))
	signers := map[Algorithm]crypto.Signer{RSASHA256: rsaKey(t, 2048), Ed25519SHA256: ed25519Key()}
	for want, signer := range signers {
		sig, a, err := Sign(signer, sum)
		if err != nil || a != want {
			t.Fatalf("%s: %v %v", want, a, err)
		}
		k, err := ParseKey(record(t, signer))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Check(a, sum, sig); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if err := k.Check(a, other, sig); err != ErrSignature {
			t.Errorf("%s: another text: %v", a, err)
		}
		if err := k.Check(a, sum, sig[:len(sig)-1]); err != ErrSignature {
			t.Errorf("%s: cut: %v", a, err)
		}
		for _, b := range []Algorithm{RSASHA256, Ed25519SHA256, RSASHA1, UnknownAlgorithm} {
			if err := k.Check(b, sum, sig); a != b && err == nil {
				t.Errorf("%s passes as %s", a, b)
			}
		}
	}
}

// zone answers from a map; "" stands for no such name, an error for itself.
type zone map[string]any

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	switch v := z[strings.ToLower(name)].(type) {
	case string:
		return []string{v}, nil
	case []string:
		return v, nil
	case error:
		return nil, v
	case func() ([]string, error):
		return v()
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func TestKeys(t *testing.T) {
	good, other := record(t, rsaKey(t, 1024)), record(t, ed25519Key())
	count := 0
	z := zone{
		"good._domainkey.d.example":     good,
		"wild._domainkey.d.example":     []string{"v=spf1 -all", "anything", good},
		"two._domainkey.d.example":      []string{good, other},
		"same._domainkey.d.example":     []string{good, good},
		"revoked._domainkey.d.example":  []string{good, "v=DKIM1; p="},
		"back._domainkey.d.example":     []string{"v=DKIM1; p=", good},
		"junk._domainkey.d.example":     "junk",
		"empty._domainkey.d.example":    []string{},
		"many._domainkey.d.example":     strings.Split(strings.Repeat("x,", 200), ","),
		"servfail._domainkey.d.example": errors.New("server failure"),
		"dnserr._domainkey.d.example":   &net.DNSError{Err: "server misbehaving", IsTemporary: true},
		"wrapped._domainkey.d.example":  fmt.Errorf("cache: %w", &net.DNSError{IsNotFound: true}),
		"panic._domainkey.d.example":    func() ([]string, error) { panic("boom") },
		"once._domainkey.d.example":     func() ([]string, error) { count++; return []string{good}, nil },
	}
	for selector, want := range map[string]string{"good": "key", "wild": "key", "two": "perm several key records", "same": "perm several key records",
		"revoked": "perm key revoked", "back": "perm key revoked", "junk": "perm key record: tag list: a tag without =", "empty": "perm no key for signature",
		"many": "perm 201 texts where one key record should be", "servfail": "temp key lookup failed", "dnserr": "temp key lookup failed",
		"wrapped": "perm no key for signature", "none": "perm no key for signature", "panic": "temp key lookup: panic: boom", "once": "key",
		strings.Repeat("x", 240): "perm key: its name is too long for DNS"} {
		var ks Keys
		for range 3 {
			ks.Want(selector, "d.example")
		}
		if _, err := ks.Get(selector, "d.example"); err == nil {
			t.Errorf("%s: a key before it was looked up", selector)
		}
		ks.Fetch(t.Context(), z)
		ks.Fetch(t.Context(), z)
		got := "key"
		if k, err := ks.Get(selector, "d.example"); err != nil {
			var e *KeyError
			if !errors.As(err, &e) || k != nil {
				t.Fatalf("%s: %v %v", selector, k, err)
			}
			got = map[bool]string{true: "temp ", false: "perm "}[e.Temporary] + e.Reason
		}
		if got != want {
			t.Errorf("%s: %s, want %s", selector, got, want)
		}
	}
	if count != 1 {
		t.Errorf("one key was asked for %d times", count)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var ks Keys
	ks.Want("none", "d.example")
	ks.Fetch(ended, z)
	var e *KeyError
	if _, err := ks.Get("none", "d.example"); !errors.As(err, &e) || !e.Temporary {
		t.Errorf("not found when nobody waits any more: %v", err)
	}
}

// TestKeysAreBounded shows that a message that names many keys on dead name servers has only so many lookups under way, and
// that all are told about.
func TestKeysAreBounded(t *testing.T) {
	var now, most atomic.Int32
	z, ks := zone{}, Keys{}
	for i := range maxKeys {
		name := fmt.Sprintf("s%d", i)
		z[name+"._domainkey.d.example"] = func() ([]string, error) {
			n := now.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			runtime.Gosched()
			now.Add(-1)
			panic(name)
		}
		ks.Want(name, "d.example")
	}
	ks.Fetch(t.Context(), z)
	if n := most.Load(); n > atOnce {
		t.Errorf("%d lookups at a time", n)
	}
	for i := range maxKeys {
		name := fmt.Sprintf("s%d", i)
		if _, err := ks.Get(name, "d.example"); err == nil || !strings.HasSuffix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeysAtOnce shows that no lookup waits for another up to a bound that no honest message needs, and that panics and all come back before Fetch does.
func TestKeysAtOnce(t *testing.T) {
	const n = 20
	var all sync.WaitGroup
	all.Add(n)
	z, ks := zone{}, Keys{}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		z[name+"._domainkey.d.example"] = func() ([]string, error) {
			all.Done()
			all.Wait() // for every other lookup to have begun
			panic(name)
		}
		ks.Want(name, "d.example")
	}
	ks.Fetch(t.Context(), z)
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		if _, err := ks.Get(name, "d.example"); err == nil || !strings.HasSuffix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range 2 * maxKeys {
		ks.Want("more", fmt.Sprintf("d%d.example", i))
	}
	if len(ks.keys) != maxKeys {
		t.Errorf("%d keys for one message", len(ks.keys))
	}
}

func TestASCIIName(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, want := range map[string]string{
		"d.example": "d.example", "D.Example": "d.example", "a_b._c.example": "a_b._c.example", "com": "com", "1.2": "1.2",
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
		long + ".a": long + ".a", strings.Join([]string{long, long, long, long[:61]}, "."): strings.Join([]string{long, long, long, long[:61]}, "."),
		"": "!", ".": "!", "a.": "!", ".a": "!", "a..b": "!", "-a": "!", "a-": "!", "a b": "!", "a\x00b": "!", "a\r\n b": "!", "a/b": "!", "a@b": "!", "*.a": "!",
		long + "a.b": "!", strings.Join([]string{long, long, long, long[:62]}, "."): "!", "bü cher.example": "!", "a\u200b\u202eb.": "!", "\xff.example": "!", "a\"b": "!", "a;b": "!",
		"ü" + strings.Repeat("a", 300): "!",
	} {
		got, err := ASCIIName(name)
		if err != nil {
			got = "!"
		}
		if got != want || (err != nil) != errors.Is(err, ErrName) {
			t.Errorf("%q: %q %v, want %q", name, got, err, want)
		}
	}
	for pair, want := range map[[2]string]bool{{"a.b", "a.b"}: true, {"x.a.b", "a.b"}: true, {"xa.b", "a.b"}: false, {"b", "a.b"}: false, {".a.b", "a.b"}: true} {
		if Below(pair[0], pair[1]) != want {
			t.Errorf("%v is not %v", pair, want)
		}
	}
}

func oddNumber(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits)-1)
	return n.Add(n, big.NewInt(12345))
}
