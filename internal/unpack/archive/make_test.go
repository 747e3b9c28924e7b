package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// gzipOf packs content as one member with a name.
func gzipOf(name string, content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	w.Name = name
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

func xzOf(content []byte) []byte {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

func zstdOf(content []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(content, nil)
}

// lzipOf packs content as a member of lzip.
func lzipOf(content []byte) []byte {
	var b bytes.Buffer
	w, err := lzma.WriterConfig{Properties: &lzma.Properties{LC: 3, PB: 2}, DictCap: 1 << 20, EOSMarker: true}.NewWriter(&b)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(content)
	_ = w.Close()
	var out bytes.Buffer
	put(&out, "LZIP\x01\x14", b.Bytes()[13:], crc32.ChecksumIEEE(content), uint64(len(content)), uint64(6+b.Len()-13+20))
	return out.Bytes()
}

func tarOf(headers ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := h.Uname // a test says the content here
		h.Uname, h.Mode = "", 0o644
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte(content)[:h.Size])
	}
	_ = w.Close()
	return b.Bytes()
}

// rarFile is a file of a RAR, stored.
type rarFile struct {
	name, content, link string
	encrypted           bool
	dictionary          int // of RAR 5: a power of two of 128 KiB, with a method other than stored
	unpacked            int
}

// rar4Of writes a RAR of version 2.9 to 4: flags of the archive, and files as they are.
func rar4Of(flags int, files ...rarFile) []byte {
	var b bytes.Buffer
	block := func(head []byte) { put(&b, uint16(crc32.ChecksumIEEE(head)), head) }
	put(&b, rarMagic+"\x00")
	var h bytes.Buffer
	put(&h, byte(0x73), uint16(flags), uint16(13), make([]byte, 6))
	block(h.Bytes())
	for _, f := range files {
		h.Reset()
		ff := 0x8000
		if f.encrypted {
			ff |= 4
		}
		put(&h, byte(0x74), uint16(ff), uint16(32+len(f.name)), uint32(len(f.content)), uint32(len(f.content)), byte(3), crc32.ChecksumIEEE([]byte(f.content)), uint32(0),
			byte(20), byte(0x30), uint16(len(f.name)), uint32(0o100644), f.name)
		block(h.Bytes())
		put(&b, f.content)
	}
	h.Reset()
	put(&h, byte(0x7b), uint16(0x4000|flags&1), uint16(7)) // a volume goes on in another
	block(h.Bytes())
	return b.Bytes()
}

// rar5Of writes a RAR of version 5 with files as they are.
func rar5Of(flags int, files ...rarFile) []byte {
	var b bytes.Buffer
	v := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	block := func(body []byte) {
		body = join(v(len(body)), body)
		put(&b, crc32.ChecksumIEEE(body), body)
	}
	put(&b, rarMagic+"\x01\x00")
	block(join(v(1), v(0), v(flags)))
	for _, f := range files {
		var extra []byte
		if f.encrypted {
			record := join(v(1), v(0), v(0), []byte{15}, make([]byte, 32))
			extra = append(extra, join(v(len(record)), record)...)
		}
		if f.link != "" {
			record := join(v(5), v(1), v(0), v(len(f.link)), []byte(f.link))
			extra = append(extra, join(v(len(record)), record)...)
		}
		method := 0
		if f.dictionary > 0 {
			method = 3<<7 | f.dictionary<<10
		}
		if f.unpacked == 0 {
			f.unpacked = len(f.content)
		}
		body := join(v(2), v(3), v(len(extra)), v(len(f.content)), v(4), v(f.unpacked), v(0o100644), binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(f.content))),
			v(method), v(1), v(len(f.name)), []byte(f.name), extra)
		block(body)
		put(&b, f.content)
	}
	block(join(v(5), v(0), v(0)))
	return b.Bytes()
}

// sevenOf writes a 7z of one folder with one method, whose packed content is given; the files lie in it one behind the other.
func sevenOf(method, properties string, packed []byte, size uint64, names []string, sizes []uint64) []byte {
	number := func(v uint64) string { return "\xff" + string(binary.LittleEndian.AppendUint64(nil, v)) }
	var h strings.Builder
	h.WriteString("\x01\x04\x06\x00\x01\x09" + number(uint64(len(packed))) + "\x00")
	flags := byte(len(method))
	if properties != "" {
		flags |= 0x20
	}
	h.WriteString("\x07\x0b\x01\x00\x01" + string(flags) + method)
	if properties != "" {
		h.WriteString(string(byte(len(properties))) + properties)
	}
	h.WriteString("\x0c" + number(size) + "\x00")
	h.WriteString("\x08\x0d" + number(uint64(len(names))))
	if len(names) > 1 {
		h.WriteString("\x09")
		for _, n := range sizes[:len(sizes)-1] {
			h.WriteString(number(n))
		}
	}
	h.WriteString("\x00\x00")
	h.WriteString("\x05" + number(uint64(len(names))))
	text := []byte{0}
	for _, n := range names {
		for _, u := range append(utf16.Encode([]rune(n)), 0) {
			text = append(text, byte(u), byte(u>>8))
		}
	}
	h.WriteString("\x11" + number(uint64(len(text))) + string(text) + "\x00\x00")
	head := startHeader(int64(len(packed)), []byte(h.String()))
	return append(append(head, packed...), h.String()...)
}

// cabOf writes a cabinet of one folder whose files are stored.
func cabOf(method int, names, contents []string) []byte {
	var files, data bytes.Buffer
	offset := 0
	for i, n := range names {
		put(&files, uint32(len(contents[i])), uint32(offset), uint16(0), uint32(0), uint16(0x20), n+"\x00")
		offset += len(contents[i])
	}
	all := strings.Join(contents, "")
	put(&data, uint32(0), uint16(len(all)), uint16(len(all)), all)
	var b bytes.Buffer
	at := 36 + 8 + files.Len()
	put(&b, "MSCF\x00\x00\x00\x00", uint32(at+data.Len()), uint32(0), uint32(44), uint32(0), byte(3), byte(1), uint16(1), uint16(len(names)), uint16(0), uint16(1), uint16(0))
	put(&b, uint32(at), uint16(1), uint16(method), files.Bytes(), data.Bytes())
	return b.Bytes()
}

// isoOf writes an image with one file below its root, and what stands behind the name of its record.
func isoOf(name, content string, fields ...string) []byte {
	b := make([]byte, 20*isoSector)
	record := func(at int, name string, extent, size, flags int) int {
		r := b[at:]
		n := 33 + len(name) + (len(name)+1)%2
		r[0] = byte(n)
		binary.LittleEndian.PutUint32(r[2:], uint32(extent))
		binary.LittleEndian.PutUint32(r[10:], uint32(size))
		r[25], r[32] = byte(flags), byte(len(name))
		copy(r[33:], name)
		return at + n
	}
	copy(b[isoStart:], "\x01CD001\x01")
	binary.LittleEndian.PutUint16(b[isoStart+128:], isoSector)
	record(isoStart+156, "\x00", 18, isoSector, 2)
	copy(b[isoStart+isoSector:], "\xffCD001\x01")
	at := record(18*isoSector, "\x00", 18, isoSector, 2)
	at = record(at, "\x01", 18, isoSector, 2)
	n := record(at, name+";1", 19, len(content), 0)
	for _, f := range fields {
		n += copy(b[n:], f)
		b[at] += byte(len(f))
	}
	copy(b[19*isoSector:], content)
	return b
}

// joliet adds a tree in Unicode to what isoOf wrote, in which the same content has a name of its own.
func joliet(b []byte, name, content string) []byte {
	second := b[isoStart+isoSector:]
	copy(second, b[isoStart:][:isoSector])
	second[0] = 2
	copy(second[88:], "%/E")
	root, wide := b[isoStart+isoSector+156:], []byte{}
	binary.LittleEndian.PutUint32(root[2:], 20)
	for _, u := range utf16.Encode([]rune(name)) {
		wide = append(wide, byte(u>>8), byte(u))
	}
	b = append(b, make([]byte, isoSector)...)
	r := b[20*isoSector:]
	r[0], r[32] = byte(33+len(wide)+1), byte(len(wide))
	binary.LittleEndian.PutUint32(r[2:], 19)
	binary.LittleEndian.PutUint32(r[10:], uint32(len(content)))
	copy(r[33:], wide)
	return b
}

// arOf writes what ar writes.
func arOf(name, content string) []byte {
	return fmt.Appendf(nil, "!<arch>\n%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", name+"/", 0, 0, 0, 0o644, len(content), content)
}

// cpioOf writes the new portable format of cpio.
func cpioOf(name, content string) []byte {
	var b bytes.Buffer
	for _, f := range [][2]string{{name, content}, {"TRAILER!!!", ""}} {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", 0, 0o100644, 0, 0, 1, 0, len(f[1]), 0, 0, 0, 0, len(f[0])+1, 0, f[0])
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
		b.WriteString(f[1])
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	return b.Bytes()
}

// made are the archives of the corpus that are built here, by the name of their report.
func made(t testing.TB) map[string][]byte {
	t.Helper()
	simple := part{name: "a.txt", content: "hello", method: 8}
	cut := zipOf(simple, part{name: "b.txt", content: "world"})
	long := strings.Repeat("x", 300)
	secret := zipOf(part{name: "a.txt", content: "hello", flags: 1 << 13})
	m := map[string][]byte{
		"80-two-names.zip":        zipOf(part{name: "invoice.txt", local: "invoice.exe", content: "MZ"}),
		"80-only-local.zip":       zipOf(simple, part{name: "hidden.exe", content: "MZ", noDir: true}),
		"80-no-directory.zip":     cut[:bytes.Index(cut, []byte(zipCentral))],
		"80-cut.zip":              cut[:40],
		"80-described.zip":        zipOf(part{name: "a.txt", content: strings.Repeat("hello ", 50), method: 8, flags: 8}, part{name: "b.txt", content: "world", flags: 8}),
		"80-described-local.zip":  zipOf(part{name: "a.txt", content: strings.Repeat("hello ", 50), method: 8, flags: 8}, part{name: "b.txt", content: "world", noDir: true}),
		"80-before.zip":           append([]byte("#!/bin/sh\nexit 0\n"), zipOf(simple)...),
		"80-behind.zip":           append(zipOf(simple), "MZ and more"...),
		"80-two-zips.zip":         append(zipOf(part{name: "first.exe", content: "MZ"}), zipOf(simple)...),
		"80-picture.gif":          append([]byte("GIF89a"), zipOf(part{name: "evil.exe", content: "MZ"})...),
		"80-twice.zip":            zipOf(part{name: "a.txt", content: "one"}, part{name: "a.txt", content: "two"}),
		"80-zombie.zip":           zipOf(part{name: "a.txt", content: "hello hello hello", raw: deflated([]byte("hello hello hello")), inLocal: 8}),
		"80-wrong-sum.zip":        zipOf(part{name: "a.txt", content: "hello", badSum: true}),
		"80-wrong-size.zip":       zipOf(part{name: "a.txt", content: "hello", method: 8, size: 3}),
		"80-encrypted-names.zip":  secret,
		"80-zip64.zip":            zip64Of("a.txt", "hello"),
		"80-link.zip":             zipOf(part{name: "d/l", content: "../../etc/passwd", mode: 0o120777}, part{name: "d/m", content: "../inside", mode: 0o120777}),
		"80-unicode-path.zip":     zipOf(part{name: "a.txt", content: "hello", extra: unicodePath("a.txt", "a.exe")}),
		"80-unicode-other.zip":    zipOf(part{name: "a.txt", content: "hello", extra: unicodePath("b.txt", "a.exe")}),
		"80-unicode-local.zip":    zipOf(part{name: "a.txt", content: "hello", before: unicodePath("a.txt", "a.exe")}),
		"80-cp437.zip":            zipOf(part{name: "r\x82sum\x82.doc", content: "hello"}),
		"80-shared.zip":           zipOf(part{name: "a", content: "hello"}, part{name: "b", content: "hello", sameAs: 1}),
		"80-comment-eocd.zip":     append(zipOf(simple)[:len(zipOf(simple))-2], "\x16\x00"+zipEnd+strings.Repeat("\x00", 18)...),
		"81-tricks.zip":           zipOf(tricky()...),
		"81-tricks.tar":           tarOf(tar.Header{Name: "../up", Uname: "x"}, tar.Header{Name: "/etc/cron.d/x", Uname: "x"}, tar.Header{Name: "log-12:30.txt", Uname: "x"}, tar.Header{Name: long, Uname: "x"}, tar.Header{Name: "s", Linkname: "../../etc/shadow", Typeflag: tar.TypeSymlink}, tar.Header{Name: "d/s", Linkname: "../x", Typeflag: tar.TypeSymlink}, tar.Header{Name: "h", Linkname: "../x", Typeflag: tar.TypeLink}, tar.Header{Name: "dev", Typeflag: tar.TypeBlock}),
		"81-tricks.rar":           rar5Of(0, rarFile{name: "../evil.exe", content: "MZ"}, rarFile{name: "l", link: "/etc/passwd"}, rarFile{name: "a.txt:evil.exe", content: "MZ"}),
		"81-tricks.7z":            sevenOf(sevenCopy, "", []byte("onetwo"), 6, []string{`..\..\evil.exe`, "C:/con.txt"}, []uint64{3, 3}),
		"81-tricks.cab":           cabOf(0, []string{`..\evil.dll`, "a.txt"}, []string{"MZ", "hello"}),
		"81-cut-name.tar":         tarOf(tar.Header{Name: strings.Repeat("y", 92) + "/evil.json", Uname: "x"}),
		"81-rock-ridge.iso":       isoOf("EVIL.EXE", "hello", "NM\x0d\x01\x00evil.txt"),
		"81-two-trees.iso":        joliet(isoOf("REPORT.EXE", "hello"), "Report.exe for you", "hello"),
		"81-tricks.iso":           isoOf("..", "hello"),
		"81-behind.tar":           append(tarOf(tar.Header{Name: "a", Uname: "x"}), tarOf(tar.Header{Name: "b", Uname: "x"})...),
		"82-two-members.gz":       append(gzipOf("a.txt", []byte("one")), gzipOf("b.txt", []byte("two"))...),
		"82-invoice.pdf.gz":       gzipOf("invoice.exe", []byte("MZ")),
		"82-behind.gz":            append(gzipOf("", []byte("one")), "more"...),
		"82-cut.gz":               gzipOf("a", []byte("one two three"))[:18],
		"82-numbers.txt.lz":       append(lzipOf([]byte("one")), lzipOf([]byte("two"))...),
		"82-behind.xz":            append(xzOf([]byte("one")), "more"...),
		"82-plain.rpm":            rpmOf(gzipOf("", cpioOf("./usr/bin/x", "hello"))),
		"83-stored.rar":           rar4Of(0, rarFile{name: "a.txt", content: "hello"}, rarFile{name: `d\b.exe`, content: "MZ"}),
		"83-encrypted.rar":        rar4Of(0, rarFile{name: "a.txt", content: "hello", encrypted: true}),
		"83-encrypted-names.rar":  rar4Of(0x80, rarFile{name: "a.txt", content: "hello"}),
		"83-volume.rar":           rar4Of(0x1, rarFile{name: "a.txt", content: "hello"}),
		"84-stored.rar":           rar5Of(0, rarFile{name: "a.txt", content: "hello"}, rarFile{name: "d/b.exe", content: "MZ"}),
		"84-encrypted.rar":        rar5Of(0, rarFile{name: "a.txt", content: "hello", encrypted: true}),
		"84-behind-a-program.exe": append([]byte("MZ"+strings.Repeat("\x90", 600)), rar5Of(0, rarFile{name: "setup.exe", content: "MZ"})...),
		"85-behind-a-program.exe": append([]byte("MZ"+strings.Repeat("\x90", 600)), sevenOf(sevenCopy, "", []byte("MZ"), 2, []string{"setup.exe"}, []uint64{2})...),
		"85-behind.7z":            append(sevenOf(sevenCopy, "", []byte("MZ"), 2, []string{"setup.exe"}, []uint64{2}), "more"...),
		"86-lzx.cab":              cabOf(3, []string{"a.exe"}, []string{"what LZX packs"}),
		"87-nested.zip":           nested(6),
		"87-all.tar":              tarOf(tar.Header{Name: "z.zip", Uname: string(zipOf(simple))}, tar.Header{Name: "g.gz", Uname: string(gzipOf("x", []byte("y")))}, tar.Header{Name: "s.7z", Uname: string(sevenOf(sevenCopy, "", []byte("y"), 1, []string{"x"}, []uint64{1}))}),
		"88-ace.ace":              []byte("\x01\x02\x31\x00\x00\x00\x90**ACE**\x14\x14\x02\x00"),
		"88-lzh.lzh":              []byte("\x20\x11-lh5-\x00\x00\x00\x00\x00\x00\x00\x00"),
		"88-arj.arj":              []byte("\x60\xea\x2a\x00\x1e\x06\x01\x00\x10\x00\x02\x00\x00\x00"),
		"88-compress.Z":           []byte("\x1f\x9d\x90abcdef"),
	}
	return m
}

func unicodePath(name, unicode string) string {
	var b bytes.Buffer
	put(&b, uint16(0x7075), uint16(5+len(unicode)), byte(1), crc32.ChecksumIEEE([]byte(name)), unicode)
	return b.String()
}

// tricky are entries each of which plays a trick with its name.
func tricky() (out []part) {
	for _, n := range []string{"../../etc/cron.d/x", `..\..\Startup\x.lnk`, "/etc/passwd", `\\server\share\x`, `C:\Windows\x.dll`, "c:x", "a/../../b", "CON", "dir/aux.txt", "a.txt:evil.exe",
		"a\x00.txt", "a\x1b[2J.txt", strings.Repeat("y", 300), strings.Repeat("dir/", 300) + "x", "..  /x", "inside/../x", "plain/name.txt", `dos\name.txt`, "a..b/c"} {
		out = append(out, part{name: n, content: "x"})
	}
	return out
}

// nested is a ZIP so deep in ZIPs.
func nested(depth int) []byte {
	b := []byte("the core")
	name := "core.txt"
	for i := range depth {
		b = zipOf(part{name: name, content: string(b), method: 8})
		name = fmt.Sprintf("level-%d.zip", i+1)
	}
	return b
}

// rpmOf writes the lead, two empty headers, and a payload.
func rpmOf(payload []byte) []byte {
	head := "\x8e\xad\xe8\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	return append([]byte("\xed\xab\xee\xdb"+strings.Repeat("\x00", 92)+head+head), payload...)
}
