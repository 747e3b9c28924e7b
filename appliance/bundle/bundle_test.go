package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gatepost/appliance/minisign"
)

func key(n byte) minisign.SecretKey { return minisign.NewKey([40]byte{n, 39: n}) }

func trusted() []minisign.PublicKey {
	return []minisign.PublicKey{key(1).Public(), key(2).Public()}
}

// manifest is one of two short parts, as it is after the changes.
func manifest(t testing.TB, root, uki string, change func(*Manifest)) *Manifest {
	t.Helper()
	m := &Manifest{Product: Product, Architecture: Architecture, Version: "1.4.2", From: "1.3.0", RootHash: strings.Repeat("0a", 32)}
	for _, p := range [][2]string{{Root, root}, {UKI, uki}} {
		part, err := Sum(p[0], strings.NewReader(p[1]))
		if err != nil {
			t.Fatal(err)
		}
		m.Parts = append(m.Parts, part)
	}
	if change != nil {
		change(m)
	}
	return m
}

// made is a bundle of a text that is signed, whatever it says.
func made(t testing.TB, signed []byte, by minisign.SecretKey, parts string) []byte {
	t.Helper()
	sig, err := by.Sign(signed, "version 1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	return append(append(bytes.Clone(signed), sig...), parts...)
}

const root, uki = "the root file system", "the kernel"

func good(t testing.TB) []byte {
	t.Helper()
	signed, err := manifest(t, root, uki, nil).Signed()
	if err != nil {
		t.Fatal(err)
	}
	return made(t, signed, key(1), root+uki)
}

// readAll reads a bundle to its end, and returns what of its parts came out.
func readAll(text []byte, keys []minisign.PublicKey) (out string, err error) {
	r, err := Open(bytes.NewReader(text), keys)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		if _, err := r.Next(&b); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return b.String(), err
		}
	}
}

// TestBundle shows that a bundle is read as it was written, by either key, and that minisign itself verifies its head.
func TestBundle(t *testing.T) {
	m := manifest(t, root, uki, nil)
	signed, err := m.Signed()
	if err != nil {
		t.Fatal(err)
	}
	for n := range byte(2) {
		by := key(n + 1)
		sig, err := by.Sign(signed, "version 1.4.2")
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := Write(&file, signed, sig, trusted(), strings.NewReader(root), strings.NewReader(uki)); err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(file.Bytes(), trusted()); err != nil || got != root+uki {
			t.Errorf("%q, %v", got, err)
		}
		r, err := Open(&file, trusted())
		if err != nil || r.Key != by.ID || r.Manifest.Version != "1.4.2" || r.Manifest.Size() != int64(len(root+uki)) || r.Head != int64(len(signed)+len(sig)) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	for what, parts := range map[string][]string{"swapped": {uki, root}, "one": {root}, "three": {root, uki, "x"}, "other": {root, "the kerneL"}} {
		sig, err := key(1).Sign(signed, "")
		if err != nil {
			t.Fatal(err)
		}
		var from []io.Reader
		for _, p := range parts {
			from = append(from, strings.NewReader(p))
		}
		if err := Write(io.Discard, signed, sig, trusted(), from...); err == nil {
			t.Errorf("%s: written", what)
		}
	}
}

// TestByHand runs what docs/updates.md tells operators to type who want to verify a bundle with minisign alone.
func TestByHand(t *testing.T) {
	page, err := os.ReadFile("../../docs/updates.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "<!-- by hand -->\n```\n")
	commands, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/updates.md does not tell how to verify by hand")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "current.pub"), key(1).Public().Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(text []byte) (string, error) {
		if err := os.WriteFile(filepath.Join(dir, "gatepost-1.4.2.gpu"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("sh", "-ec", commands)
		c.Dir = dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := run(good(t))
	if err != nil || !strings.Contains(out, "version 1.4.2") || !strings.Contains(out, manifest(t, root, uki, nil).Parts[1].SHA256) {
		t.Errorf("%v\n%s", err, out)
	}
	bad := bytes.Replace(good(t), []byte("1.3.0"), []byte("1.2.0"), 1)
	if out, err := run(bad); err == nil {
		t.Errorf("a manifest that was changed passes:\n%s", out)
	}
}

// TestRefused shows what is said of bundles that are signed and wrong all the same, and of those that nobody signed.
func TestRefused(t *testing.T) {
	signed := func(change func(*Manifest)) []byte {
		text, err := json.Marshal(manifest(t, root, uki, change))
		if err != nil {
			t.Fatal(err)
		}
		return raw(string(text))
	}
	whole := manifest(t, root, uki, nil)
	text, _ := json.Marshal(whole)
	for want, head := range map[string][]byte{
		`product: it is for "other", and this is gatepost`:                                         signed(func(m *Manifest) { m.Product = "other" }),
		`architecture: it is for "arm64", and this is x86-64`:                                      signed(func(m *Manifest) { m.Architecture = "arm64" }),
		`version: "1.4.2-rc1" is no version: write two to four numbers`:                            signed(func(m *Manifest) { m.Version = "1.4.2-rc1" }),
		`version: "1/../2" is no version`:                                                          signed(func(m *Manifest) { m.Version = "1/../2" }),
		`from: "" is no version`:                                                                   signed(func(m *Manifest) { m.From = "" }),
		`root_hash: write 64 hexadecimal digits`:                                                   signed(func(m *Manifest) { m.RootHash = "0A" + m.RootHash[2:] }),
		`parts: there must be two, root and then uki`:                                              signed(func(m *Manifest) { m.Parts = m.Parts[:1] }),
		`parts: root: size: 0 octets; it must be 1 to 4294967296`:                                  signed(func(m *Manifest) { m.Parts[0].Size = 0 }),
		`parts: uki: size: -1 octets`:                                                              signed(func(m *Manifest) { m.Parts[1].Size = -1 }),
		`parts: uki: size: 4294967297 octets`:                                                      signed(func(m *Manifest) { m.Parts[1].Size = MaxPart + 1 }),
		`parts: root: sha256: write 64 hexadecimal digits`:                                         signed(func(m *Manifest) { m.Parts[0].SHA256 = "00" }),
		`its manifest: json: unknown field "more"`:                                                 raw(`{"more":1}`),
		`its manifest: there is something behind it`:                                               raw(string(text) + "{}"),
		`its manifest: unexpected EOF`:                                                             raw(string(text[:len(text)-1])),
		`its manifest has 65537 octets; at most 65536`:                                             raw(strings.Repeat(" ", MaxManifest+1)),
		`that is no bundle of Gatepost, or one of a later format`:                                  []byte("gatepost-bundle-2 00000001\n "),
		"that is no bundle of Gatepost, or one of a later format ":                                 []byte("gatepost-bundle-1 -0000001\n "),
		"that is no bundle of Gatepost":                                                            []byte("\x7fELF"),
		`its signature: the signature is by a key that is not trusted here: ` + key(3).ID.String(): nil,
	} {
		by := key(1)
		if head == nil {
			head, by = signed(nil), key(3)
		}
		got, err := readAll(made(t, head, by, root+uki), trusted())
		if err == nil || got != "" || !strings.Contains(err.Error(), strings.TrimSuffix(want, " ")) {
			t.Errorf("%q, %v; want %s", got, err, want)
		}
	}
	long := append(signed(nil), strings.Repeat("x", minisign.MaxSignature)+"\n\n\n\n"...)
	if _, err := Open(bytes.NewReader(long), trusted()); err == nil || !strings.Contains(err.Error(), "more than 1024 octets") {
		t.Errorf("%v", err)
	}
	failing := errors.New("the line is dead")
	if _, err := Open(io.MultiReader(bytes.NewReader(good(t)[:60]), broken{failing}), trusted()); !errors.Is(err, failing) {
		t.Errorf("an error of reading: %v", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func raw(manifest string) []byte {
	n := strconv.Itoa(len(manifest))
	return []byte(magic + strings.Repeat("0", digits-len(n)) + n + "\n" + manifest)
}

// TestCut cuts a bundle behind each of its octets: each is refused, and before the first part nothing came out.
func TestCut(t *testing.T) {
	whole := good(t)
	parts := len(whole) - len(root+uki)
	for n := range whole {
		got, err := readAll(whole[:n], trusted())
		if err == nil || n > 20 && !errors.Is(err, ErrCut) {
			t.Errorf("%d octets: %v", n, err)
		}
		if n <= parts && got != "" {
			t.Errorf("%d octets: %q came out", n, got)
		}
	}
	if got, err := readAll(append(whole, 'x'), trusted()); err == nil {
		t.Errorf("an octet more: %q", got)
	}
}

// TestFlipped changes each octet of a bundle: each change is refused but for those in the first comment of the signature, which is
// nobody's; and nothing came out unless it is in a part.
func TestFlipped(t *testing.T) {
	whole := good(t)
	parts := len(whole) - len(root+uki)
	begin := bytes.Index(whole, []byte("untrusted comment: ")) + len("untrusted comment: ")
	end := begin + bytes.IndexByte(whole[begin:], '\n')
	for n := range whole {
		for _, flip := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(whole)
			bad[n] ^= flip
			if n >= begin && n < end && bad[n] != '\n' {
				continue
			}
			got, err := readAll(bad, trusted())
			if err == nil || n < parts && got != "" {
				t.Errorf("octet %d by %#x: %q, %v", n, flip, got, err)
			}
		}
	}
}

// TestVersions orders versions as the boot loader does.
func TestVersions(t *testing.T) {
	ordered := []Version{"", "0.1", "0.9", "0.10", "1.0", "1.0.0", "1.0.1", "1.2.3", "1.2.3.1", "1.10.0", "2.0.0", "10.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%s, %s: %d", a, b, got)
			}
		}
		if _, err := ParseVersion(string(a)); (err != nil) != (a == "") {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, s := range []string{"1", "01.2", "1.2.3.4.5", "1.1234567", "1.2 ", "v1.2", "1.2+3", "1..2", "1.2\n"} {
		if v, err := ParseVersion(s); err == nil {
			t.Errorf("%q is version %s", s, v)
		}
	}
}

// TestImageVersions shows that scripts/image makes images of nothing but what is a version here: another would never be updated.
func TestImageVersions(t *testing.T) {
	script, err := os.ReadFile("../../scripts/image")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^\[.*\$version.*(version=0|=~).*$`).FindAllString(string(script), -1)
	if len(lines) != 2 {
		t.Fatalf("scripts/image: what makes a version and what looks at it are %q", lines)
	}
	const world = "die() { exit 1; }; git() { case $1 in rev-list) echo 2371 ;; *) echo 4c511a1802 ;; esac; }\nversion=$1\n"
	for version, good := range map[string]bool{"": true, "0.1": true, "1.4.2": true, "1.2.3.1": true, "10.0": true, "1": false, "01.2": false, "1.2.3.4.5": false,
		"1.1234567": false, "1.2 ": false, "v1.2": false, "1.2+3": false, "1..2": false, "1.2\n": false, "0.2371.4c511a1802": false, "1.2~rc1": false} {
		out, err := exec.CommandContext(t.Context(), "bash", "-c", world+strings.Join(lines, "\n")+"\necho $version", "bash", version).Output()
		if (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		}
		if good {
			if _, err := ParseVersion(strings.TrimSpace(string(out))); err != nil {
				t.Errorf("of %q it makes: %v", version, err)
			}
		}
	}
}

// FuzzOpen shows that nothing comes out of what nobody signed.
func FuzzOpen(f *testing.F) {
	whole := manifest(f, root, uki, nil)
	f.Add(good(f))
	f.Add(good(f)[:100])
	f.Add(raw("{}"))
	f.Add([]byte("gatepost-bundle-1 00065537\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readAll(text, trusted())
		if err == nil && got != root+uki {
			t.Errorf("%q passes", got)
		}
		if signed, _ := whole.Signed(); got != "" && !bytes.HasPrefix(text, signed) {
			t.Errorf("%q came out of what nobody signed", got)
		}
	})
}

// FuzzManifest shows that what of a manifest is taken is written the same way again, and read as the same.
func FuzzManifest(f *testing.F) {
	text, _ := json.Marshal(manifest(f, root, uki, nil))
	f.Add(text)
	f.Add([]byte(`{"product":"gatepost","parts":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse(text)
		if err != nil {
			return
		}
		signed, err := m.Signed()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(signed[headSize:])
		if err != nil || again.Version != m.Version || again.Size() != m.Size() || m.Size() <= 0 {
			t.Errorf("%+v, %v", again, err)
		}
	})
}
