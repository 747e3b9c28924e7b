package archive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// eicar is the test virus, put together here so that it lies in no file.
func eicar() string {
	return strings.Join([]string{"X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-", "FILE!$H+H*"}, "")
}

// packedEICAR is the test virus as bzip2 packs it, for which there is no packer here.
const packedEICAR = "QlpoOTFBWSZTWYZSy9MAAB8egCZ6BoBvZd9dAAIgAEiKaaAwg09IxqeieoRT1GhkZNGEwjT01N4ovxyQiAlQh+sHQQz7k5qim8zkxhLmdsm1AaIuqgzvsygDz1oZkBD3+LuSKcKEhDKWXpg="

// TestEICAR: in each kind of container the tree shows the entry with the digest of the test virus, however it is called.
func TestEICAR(t *testing.T) {
	virus := eicar()
	sum := sha256.Sum256([]byte(virus))
	want := hex.EncodeToString(sum[:])
	if len(virus) != 68 || !strings.HasPrefix(want, "275a021b") {
		t.Fatal("this is not the test virus")
	}
	bz2, err := base64.StdEncoding.DecodeString(packedEICAR)
	if err != nil {
		t.Fatal(err)
	}
	name := "invoice.txt"
	one := part{name: name, content: virus, method: 8}
	containers := map[string][]byte{
		"zip":                zipOf(one),
		"stored zip":         zipOf(part{name: name, content: virus}),
		"zip in its headers": zipOf(part{name: "a", content: "x"}, part{name: name, content: virus, noDir: true}),
		"zip without an end": zipOf(one)[:40+len(deflated([]byte(virus)))],
		"zip behind":         append([]byte("%PDF-1.7 and so on"), zipOf(one)...),
		"zip of zip":         zipOf(part{name: "a.zip", content: string(zipOf(one)), method: 8}),
		"bzip2 in zip":       zipOf(part{name: name, content: virus, raw: bz2, method: 12}),
		"zstd in zip":        zipOf(part{name: name, content: virus, raw: zstdOf([]byte(virus)), method: 93}),
		"xz in zip":          zipOf(part{name: name, content: virus, raw: xzOf([]byte(virus)), method: 95}),
		"7z":                 sevenOf(sevenCopy, "", []byte(virus), 68, []string{name}, []uint64{68}),
		"7z, deflate":        sevenOf("\x04\x01\x08", "", deflated([]byte(virus)), 68, []string{name}, []uint64{68}),
		"7z, zstd":           sevenOf(sevenZstd, "", zstdOf([]byte(virus)), 68, []string{name}, []uint64{68}),
		"7z, second file":    sevenOf(sevenCopy, "", []byte("one"+virus), 71, []string{"a", name}, []uint64{3, 68}),
		"rar 4":              rar4Of(0, rarFile{name: name, content: virus}),
		"rar 5":              rar5Of(0, rarFile{name: "a", content: "x"}, rarFile{name: name, content: virus}),
		"tar":                tarOf(tar.Header{Name: name, Uname: virus}),
		"tar, long name":     tarOf(tar.Header{Name: strings.Repeat("d/", 120) + name, Uname: virus}),
		"tar in gz":          gzipOf("", tarOf(tar.Header{Name: name, Uname: virus})),
		"gz":                 gzipOf(name, []byte(virus)),
		"gz, second member":  append(gzipOf("", []byte(virus[:9])), gzipOf("", []byte(virus[9:]))...),
		"bz2":                bz2,
		"xz":                 xzOf([]byte(virus)),
		"zst":                zstdOf([]byte(virus)),
		"lz":                 lzipOf([]byte(virus)),
		"iso":                isoOf(name, virus),
		"cab":                cabOf(0, []string{"a", name}, []string{"one", virus}),
		"ar":                 arOf(name, virus),
		"cpio":               cpioOf(name, virus),
		"rpm":                rpmOf(gzipOf("", cpioOf(name, virus))),
		"all in each other":  gzipOf("", tarOf(tar.Header{Name: "i", Uname: string(isoOf("Z", string(zipOf(part{name: "c", content: string(cabOf(0, []string{"s"}, []string{string(sevenOf(sevenCopy, "", rar5Of(0, rarFile{name: name, content: virus}), uint64(len(rar5Of(0, rarFile{name: name, content: virus}))), []string{"r"}, []uint64{uint64(len(rar5Of(0, rarFile{name: name, content: virus})))}))})), method: 8}))))})),
	}
	for kind, b := range containers {
		r := walkOf(t, "in", b, plenty())
		found := false
		for _, o := range r.Objects[1:] {
			found = found || o.SHA256 == want
		}
		if !found || r.Limit != "" {
			t.Errorf("%s: the virus is not seen:\n%s", kind, text(r))
		}
	}
}
