package filetype

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// TestReadName: what Windows and mail clients would act on, whatever a name does to hide it.
func TestReadName(t *testing.T) {
	for _, c := range []struct {
		name   string
		exts   string
		group  Group
		tricks []Trick
	}{
		{"", "", None, nil},
		{"report", "", None, nil},
		{"Report.PDF", "pdf", PDF, nil},
		{"invoice.exe", "exe", Executable, nil},
		{"invoice.pdf.exe", "exe", Executable, []Trick{Double}},
		{"invoice.pdf .exe", "exe", Executable, []Trick{Double}},
		{"invoice.pdf_.js", "js", Script, []Trick{Double}},
		{"invoice.pdf.html", "html", HTML, []Trick{Double}},
		{"README.md.html", "html", HTML, nil},
		{"backup.tar.gz", "gz", Archive, nil},
		{"jquery.min.js", "js", Script, nil},
		{"setup-1.2.3.exe", "exe", Executable, nil},
		{"annex\u202efdp.exe", "exe", Executable, []Trick{Turned}},
		{"annex\u202etxt.pdf", "pdf", PDF, []Trick{Turned}},
		{"דוח\u200f.pdf", "pdf", PDF, nil}, // a mark that Hebrew needs
		{"a.ex\u200be", "exe", Executable, []Trick{Invisible}},
		{"a.exe\u200b", "exe", Executable, []Trick{Invisible}},
		{"run.exe. .", "exe", Executable, []Trick{Trailing}},
		{"run.bat ", "bat", Script, []Trick{Trailing}},
		{"report.pdf ", "pdf", PDF, nil},
		{"Offer of Acme Inc.", "", None, nil},
		{"a.exe::$DATA", "exe", Executable, []Trick{Stream}},
		{"a.txt::$DATA", "txt", Text, []Trick{Stream}},
		{"a.exe:readme.txt", "exe,txt", Executable, []Trick{Stream}},
		{"RE: minutes.docx", "docx", Office, nil},
		{"Meeting 10.30: agenda.docx", "docx", Office, nil},
		{"C:\\dir.d\\a.scr", "scr", Executable, nil},
		{"dir.exe/readme", "", None, nil},
		{"photo.jpg" + strings.Repeat(" ", 60) + ".scr", "scr", Executable, []Trick{Double, Blanks}},
		{"photo.jpg" + strings.Repeat("\u2800", 60) + "x.png", "png", Image, []Trick{Blanks}},
		{"two  blanks.pdf", "pdf", PDF, nil},
		{"a.exe\x00.txt", "exe,txt", Executable, []Trick{Cut}},
		{"a.txt\x00.exe", "txt,exe", Executable, []Trick{Cut, Double}},
		{"holiday.{3050F4D8-98B5-11CF-BB82-00AA00BDCE0B}", "", Script, []Trick{ClassID}},
		{"shared.library-ms", "library-ms", Shortcut, nil},
		{"x.SettingContent-ms", "settingcontent-ms", Shortcut, nil},
		{"manual.chm", "chm", Help, nil},
		{"disk.VHDX", "vhdx", DiskImage, nil},
		{"sheet.xlsm", "xlsm", Macro, nil},
		{"tool.xll", "xll", Addin, nil},
		{"notes.one", "one", OneNote, nil},
		{"See the end. This is a long sentence without end", "", None, nil},
		{"..", "", None, nil},
		{".exe", "exe", Executable, nil},
	} {
		n := ReadName(c.name)
		if got := strings.Join(n.Extensions, ","); got != c.exts || n.Group != c.group || !slices.Equal(n.Tricks, c.tricks) {
			t.Errorf("%q: %q %q %v, want %q %q %v", c.name, got, n.Group, n.Tricks, c.exts, c.group, c.tricks)
		}
	}
}

func pe() []byte {
	b := make([]byte, 128)
	copy(b, "MZ\x90\x00\x03")
	binary.LittleEndian.PutUint32(b[60:], 64)
	copy(b[64:], "PE\x00\x00")
	return b
}

func placed(size, at int, text string) []byte {
	b := make([]byte, size)
	copy(b[at:], text)
	return b
}

func zipped(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range names {
		f, err := w.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("<x/>")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "a", Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestByContent: what content is, and what looks like it and is not.
func TestByContent(t *testing.T) {
	fat := placed(1024, 510, "\x55\xaa")
	copy(fat[54:], "FAT12")
	for _, c := range []struct {
		name    string
		content []byte
		media   string
		group   Group
	}{
		{"empty", nil, "application/x-empty", None},
		{"program", pe(), "application/vnd.microsoft.portable-executable", Executable},
		{"text that begins like one", []byte("MZ GmbH writes to you about the offer, which is good"), "text/plain", Text},
		{"ELF", placed(64, 0, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"), "application/x-executable", Executable},
		{"Mach-O", placed(64, 0, "\xcf\xfa\xed\xfe\x07\x00\x00\x01"), "application/x-mach-binary", Executable},
		{"zip", zipped(t, "a.txt"), "application/zip", Archive},
		{"jar", zipped(t, "META-INF/MANIFEST.MF", "A.class"), "application/java-archive", Executable},
		{"docx", zipped(t, "[Content_Types].xml", "_rels/.rels", "word/document.xml"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document", Office},
		{"tar", tarred(t), "application/x-tar", Archive},
		{"gzip", gzipped(t), "application/gzip", Archive},
		{"7z", placed(64, 0, "7z\xbc\xaf\x27\x1c\x00\x04"), "application/x-7z-compressed", Archive},
		{"rar", placed(64, 0, "Rar!\x1a\x07\x01\x00"), "application/vnd.rar", Archive},
		{"cab", placed(64, 0, "MSCF\x00\x00\x00\x00"), "application/vnd.ms-cab-compressed", Archive},
		{"ace", placed(64, 7, "**ACE**"), "application/x-ace-compressed", Archive},
		{"lha", placed(64, 2, "-lh5-"), "application/x-lzh-compressed", Archive},
		{"iso", placed(40000, 32769, "CD001"), "application/x-iso9660-image", DiskImage},
		{"vhd", placed(4096, 4096-512, "conectix"), "application/x-vhd", DiskImage},
		{"dmg", placed(4096, 4096-512, "koly"), "application/x-apple-diskimage", DiskImage},
		{"floppy", fat, "application/x-raw-disk-image", DiskImage},
		{"shortcut", placed(76, 0, "L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"), "application/x-ms-shortcut", Shortcut},
		{"internet shortcut", []byte("[InternetShortcut]\r\nURL=file://host/a\r\n"), "application/x-mswinurl", Shortcut},
		{"library", []byte("<?xml version=\"1.0\"?><libraryDescription xmlns=\"x\"></libraryDescription>"), "application/windows-library+xml", Shortcut},
		{"hta", []byte("<html><head><HTA:APPLICATION id=a></head></html>"), "application/hta", Script},
		{"wsf", []byte("<job id=\"a\"><script language=\"VBScript\">x</script></job>"), "application/x-wsf", Script},
		{"batch", []byte("@ECHO OFF\r\nstart x\r\n"), "application/x-bat", Script},
		{"shell", []byte("#!/bin/sh\necho\n"), "text/x-shellscript", Script},
		{"registry", []byte("Windows Registry Editor Version 5.00\r\n"), "text/x-ms-regedit", Script},
		{"sylk", []byte("ID;PWXL;N;E\r\nC;X1;Y1;K1\r\n"), "application/x-sylk", Addin},
		{"html", []byte("\xef\xbb\xbf\r\n<!doctype html><html><body>x</body></html>"), "text/html", HTML},
		{"svg", []byte("<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>"), "image/svg+xml", SVG},
		{"pdf", []byte("%PDF-1.7\n1 0 obj\n"), "application/pdf", PDF},
		{"png", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"), "image/png", Image},
		{"tnef", placed(64, 0, "\x78\x9f\x3e\x22\x01\x00"), "application/ms-tnef", Mail},
		{"calendar", []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"), "text/calendar", Calendar},
		{"text", []byte("hello\r\n"), "text/plain", Text},
		{"noise", []byte("\x81\x02\x93\x00\xf0\x01\x00\x7e\x00\x03"), Binary, None},
	} {
		if got := ByContent(c.content); got != c.media || ByType(got) != c.group {
			t.Errorf("%s: %s, %q; want %s, %q", c.name, got, ByType(got), c.media, c.group)
		}
	}
}

// TestOf: the worst of content and of all names counts, and who says something else than it is.
func TestOf(t *testing.T) {
	if f := Of(pe(), "photo.jpg"); f.Group != Executable || !Differs(f.Content, f.Name.Group) {
		t.Errorf("%+v", f)
	}
	if f := Of([]byte("hello"), "a.txt", "a.exe"); f.Group != Executable || f.Content != Text {
		t.Errorf("%+v", f)
	}
	if f := Of(nil, "a.zip"); f.Group != Archive || f.Type != "" || Differs(f.Content, f.Name.Group) {
		t.Errorf("%+v", f)
	}
	for _, c := range []struct {
		content, said Group
		want          bool
	}{{Archive, Office, false}, {Archive, Image, true}, {HTML, PDF, true}, {Text, Office, false}, {Text, PDF, true}, {Executable, Text, true}, {None, PDF, false}} {
		if got := Differs(c.content, c.said); got != c.want {
			t.Errorf("Differs(%q, %q) = %v", c.content, c.said, got)
		}
	}
}

// TestTable: each extension stands in the table once (the compiler sees to it), and each group that policy may name has some.
func TestTable(t *testing.T) {
	for _, g := range Groups() {
		if g.rank() == 0 || !strings.HasPrefix(string(g), strings.ToLower(string(g))) {
			t.Errorf("%q", g)
		}
	}
	for ext, g := range map[string]Group{"exe": Executable, "js": Script, "lnk": Shortcut, "iso": DiskImage, "zip": Archive, "docx": Office, "docm": Macro, "chm": Help, "pdf": PDF,
		"png": Image, "mp3": Audio, "mp4": Video, "html": HTML, "svg": SVG, "one": OneNote, "mdb": Database, "xll": Addin, "ics": Calendar, "eml": Mail, "p7m": Signature, "ttf": Font, "txt": Text} {
		if ByExtension(ext) != g {
			t.Errorf("%s: %q", ext, ByExtension(ext))
		}
	}
}

// FuzzOf: no name and no content makes it fail, and what is read of a name never depends on what cannot be seen.
func FuzzOf(f *testing.F) {
	f.Add([]byte("MZ"), "a.\u202eexe")
	f.Add(pe(), "a.exe::$DATA")
	f.Add([]byte("<html>"), "a\x00.js .")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		got := Of(content, name)
		if got.Group.rank() < got.Content.rank() || got.Group.rank() < got.Name.Group.rank() {
			t.Errorf("%+v", got)
		}
	})
}
