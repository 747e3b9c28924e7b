package minisign

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func key(t *testing.T) SecretKey {
	t.Helper()
	var chance [40]byte
	rand.Read(chance[:])
	return NewKey(chance)
}

// TestMinisign holds both ways against the program: what each signs, the other verifies, by keys of either.
func TestMinisign(t *testing.T) {
	if _, err := exec.LookPath("minisign"); err != nil {
		t.Fatal("minisign is missing: scripts/install")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	minisign := func(args ...string) string {
		out, err := exec.Command("minisign", args...).CombinedOutput()
		if err != nil {
			return "failed: " + string(out)
		}
		return string(out)
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(at(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ours := key(t)
	write("ours.key", ours.Text())
	write("ours.pub", ours.Public().Text())
	if out := minisign("-G", "-W", "-p", at("theirs.pub"), "-s", at("theirs.key")); strings.HasPrefix(out, "failed") {
		t.Fatal(out)
	}
	text := []byte("what is signed\n")
	write("text", text)
	for _, name := range []string{"ours", "theirs"} {
		secret, err := ParseSecretKey(read(name + ".key"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		public, err := ParsePublicKey(read(name + ".pub"))
		if err != nil || public.ID != secret.ID || !public.Key.Equal(secret.Public().Key) {
			t.Fatalf("%s: %v, %v", name, public, err)
		}
		if !strings.Contains(string(read(name+".pub")), public.ID.String()) {
			t.Errorf("%s: the id %s is not the one in the comment", name, public.ID)
		}
		sig, err := secret.Sign(text, "made by us")
		if err != nil {
			t.Fatal(err)
		}
		write("text.minisig", sig)
		if out := minisign("-Vm", at("text"), "-p", at(name+".pub")); strings.HasPrefix(out, "failed") || !strings.Contains(out, "made by us") {
			t.Errorf("%s: %s", name, out)
		}
		if out := minisign("-Sm", at("text"), "-s", at(name+".key"), "-W"); strings.HasPrefix(out, "failed") {
			t.Fatalf("%s: %s", name, out)
		}
		if id, err := Verify([]PublicKey{key(t).Public(), public}, text, read("text.minisig")); err != nil || id != public.ID {
			t.Errorf("%s: %s, %v", name, id, err)
		}
	}
}

// TestVerify shows that nothing passes but what was signed, by a key that is trusted; each octet of a signature counts but for
// those of its first comment.
func TestVerify(t *testing.T) {
	k, other := key(t), key(t)
	text := []byte("text")
	sig, err := k.Sign(text, "comment")
	if err != nil {
		t.Fatal(err)
	}
	keys := []PublicKey{other.Public(), k.Public()}
	if id, err := Verify(keys, text, sig); err != nil || id != k.ID {
		t.Fatalf("%s, %v", id, err)
	}
	if _, err := Verify(keys[:1], text, sig); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key that is not trusted: %v", err)
	}
	if _, err := Verify(nil, text, sig); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("no key: %v", err)
	}
	forged := PublicKey{ID: k.ID, Key: other.Public().Key}
	if _, err := Verify([]PublicKey{forged}, text, sig); !errors.Is(err, ErrWrong) {
		t.Errorf("a key of the same name: %v", err)
	}
	if _, err := Verify(keys, []byte("texT"), sig); !errors.Is(err, ErrWrong) {
		t.Errorf("another text: %v", err)
	}
	first := bytes.IndexByte(sig, '\n')
	for i := first; i < len(sig); i++ {
		for _, flip := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(sig)
			bad[i] ^= flip
			if _, err := Verify(keys, text, bad); err == nil {
				t.Errorf("octet %d, flipped by %#x, passes", i, flip)
			}
		}
	}
	for i := range sig {
		if _, err := Verify(keys, text, sig[:i]); err == nil {
			t.Errorf("the first %d octets pass", i)
		}
	}
	if _, err := Verify(keys, text, append(bytes.Clone(sig), '\n')); err == nil {
		t.Error("a line more passes")
	}
	if _, err := Verify(keys, text, bytes.Replace(sig, []byte("comment: signature"), []byte("comment: other"), 1)); err != nil {
		t.Errorf("the first comment is nobody's: %v", err)
	}
	if _, err := k.Sign(text, "two\nlines"); err == nil {
		t.Error("a comment of two lines is signed")
	}
}

// TestKeys shows that what is no key is refused, and that a key of a password is told as such.
func TestKeys(t *testing.T) {
	k := key(t)
	for _, text := range []string{"", "x", "untrusted comment: x\n", string(k.Text()), string(k.Public().Text()[:60]), "RWQ=\n"} {
		if got, err := ParsePublicKey([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	bare := bytes.SplitAfter(k.Public().Text(), []byte("\n"))[1]
	if got, err := ParsePublicKey(bare); err != nil || got.ID != k.ID {
		t.Errorf("the line alone: %v", err)
	}
	for _, text := range []string{"", string(k.Public().Text())} {
		if _, err := ParseSecretKey([]byte(text)); err == nil {
			t.Errorf("%q is a secret key", text)
		}
	}
	text := bytes.Clone(k.Text())
	at := len(text) - 60 // in the checksum
	text[at] ^= 1
	if _, err := ParseSecretKey(text); err == nil {
		t.Error("a wrong checksum passes")
	}
	if _, err := ParseSecretKey(bytes.Replace(k.Text(), []byte("\nRWQAAEIy"), []byte("\nRWRTY0Iy"), 1)); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("a key of a password: %v", err)
	}
}

// FuzzVerify shows that no signature of anybody else passes, and none ends the process.
func FuzzVerify(f *testing.F) {
	k := NewKey([40]byte{1, 2, 3})
	sig, err := k.Sign([]byte("text"), "comment")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("text"), sig)
	f.Add([]byte("text"), k.Text())
	f.Add([]byte{}, []byte("untrusted comment: \nRUQ=\ntrusted comment: \n\n"))
	f.Fuzz(func(t *testing.T, text, got []byte) {
		if _, err := Verify([]PublicKey{k.Public()}, text, got); err == nil && string(text) != "text" {
			t.Errorf("%q passes", text)
		}
		if p, err := ParsePublicKey(got); err == nil {
			if again, err := ParsePublicKey(p.Text()); err != nil || again.ID != p.ID {
				t.Errorf("%v, %v", again, err)
			}
		}
		_, _ = ParseSecretKey(got)
	})
}
