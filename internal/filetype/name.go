package filetype

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Trick is something in a name that hides what the file is.
type Trick string

// The tricks.
const (
	Turned    Trick = "turned"           // a character that turns the direction of text: "annex\u202Efdp.exe" reads as "annexexe.pdf"
	Invisible Trick = "invisible"        // characters that nobody sees, in or before an extension, or control characters
	Double    Trick = "double_extension" // "invoice.pdf.exe"
	Trailing  Trick = "trailing"         // dots and blanks behind the extension, which Windows leaves out
	Stream    Trick = "stream"           // a stream of NTFS: "a.exe::$DATA", "a.exe:b.txt"
	Blanks    Trick = "blanks"           // a run of blanks that pushes the extension out of sight
	Cut       Trick = "nul"              // a NUL, where some stop to read
	ClassID   Trick = "class_id"         // a class of Windows as extension: "a.txt.{3050F4D8-...}"
)

// Name is what a name says of its file.
type Name struct {
	// Extensions are those that something would act on, in lower case without their dots; that of most readers first.
	Extensions []string
	// Group is the worst of their groups.
	Group  Group
	Tricks []Trick
}

// longRun is how many blanks in a row push the rest out of sight.
const longRun = 8

// ReadName reads a name, which may be a path of any system: its last part counts.
func ReadName(name string) Name {
	var n Name
	if name == "" {
		return n
	}
	if i := strings.IndexByte(name, 0); i >= 0 { // read in both ways
		n.trick(Cut)
		n.read(base(name[:i]))
	}
	n.read(base(strings.ReplaceAll(name, "\x00", "")))
	return n
}

// base is the last part of a path of any system.
func base(name string) string {
	if i := strings.LastIndexAny(strings.TrimRight(name, `/\`), `/\`); i >= 0 {
		return name[i+1:]
	}
	return name
}

func (n *Name) trick(t Trick) {
	for _, have := range n.Tricks {
		if have == t {
			return
		}
	}
	n.Tricks = append(n.Tricks, t)
}

// act notes an extension.
func (n *Name) act(ext string) {
	for _, have := range n.Extensions {
		if have == ext {
			return
		}
	}
	n.Extensions = append(n.Extensions, ext)
	n.Group = Worse(n.Group, ByExtension(ext))
}

// read reads one form of the name.
func (n *Name) read(name string) {
	seen, turned, hidden := visible(name)
	stripped := strings.TrimRightFunc(seen, func(r rune) bool { return r == '.' || blank(r) })
	if turned {
		n.trick(Turned)
	}
	if strings.HasSuffix(stripped, "}") {
		if i := strings.LastIndex(stripped, ".{"); i >= 0 && len(stripped)-i == 39 {
			n.trick(ClassID)
			n.Group = Worse(n.Group, Script)
			stripped = stripped[:i]
		}
	}
	if i := strings.IndexByte(stripped, ':'); i > 1 {
		before := extension(strings.TrimRightFunc(stripped[:i], func(r rune) bool { return r == '.' || blank(r) }))
		if rest := strings.ToLower(stripped[i:]); strings.HasPrefix(rest, "::$") || ByExtension(before).Active() {
			n.trick(Stream)
			n.stem(stripped[:i])
			if strings.HasPrefix(rest, "::$") {
				return
			}
		}
	}
	n.stem(stripped)
	if last := extension(stripped); ByExtension(last).Active() || ByExtension(last) == HTML {
		if len(stripped) < len(seen) {
			n.trick(Trailing)
		}
		if hidden {
			n.trick(Invisible)
		}
	}
	if before, long := run(seen); long && (n.Group.Active() || n.Group == HTML || ByExtension(extension(before)) != None) {
		n.trick(Blanks)
	}
}

// stem notes the extension of a name without what stands behind it, and whether one before it deceives.
func (n *Name) stem(name string) {
	ext := extension(name)
	if ext == "" {
		return
	}
	n.act(ext)
	g := ByExtension(ext)
	if !g.Active() && g != HTML {
		return
	}
	rest := strings.TrimRightFunc(name[:len(name)-len(ext)-1], func(r rune) bool { return r == '.' || r == '_' || blank(r) })
	switch ByExtension(extension(rest)) {
	case Text, Image, Audio, Video, Office, Macro, PDF, Calendar, Mail, OneNote:
		if g == HTML && ByExtension(extension(rest)) == Text {
			return // "README.md.html" is how a page is made of a text
		}
		n.trick(Double)
	}
}

// maxExtension is how long an extension may be, in octets: what is longer is part of a sentence.
const maxExtension = 24

// extension is what stands behind the last dot, in lower case; "" for none.
func extension(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || i == len(name)-1 || len(name)-i > maxExtension {
		return ""
	}
	ext := strings.ToLower(name[i+1:])
	if strings.ContainsFunc(ext, func(r rune) bool { return r == '/' || r == '\\' || blank(r) }) {
		return ""
	}
	return ext
}

// visible leaves out what nobody sees, and tells whether something turned the direction of text or was hidden.
func visible(name string) (seen string, turned, hidden bool) {
	seen = strings.Map(func(r rune) rune {
		switch {
		case r == 0x202d || r == 0x202e: // overrides, which no language needs in a name
			turned = true
			return -1
		case r == utf8.RuneError:
			return r
		case r == '\t':
			return ' '
		case unicode.Is(unicode.Cf, r), unicode.IsControl(r), r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r >= 0xfe00 && r <= 0xfe0f:
			hidden = true
			return -1
		}
		return r
	}, name)
	return seen, turned, hidden
}

// blank reports whether a character is one that shows nothing but room.
func blank(r rune) bool {
	return unicode.IsSpace(r) || r == 0x00a0 || r == 0x2800 || r == 0x3164 || r == 0xffa0 || unicode.Is(unicode.Zs, r)
}

// run reports whether a long run of blanks stands in a name, and what stands before it.
func run(name string) (before string, long bool) {
	n, from := 0, 0
	for i, r := range strings.TrimRightFunc(name, blank) {
		switch {
		case !blank(r):
			n = 0
		case n == 0:
			from, n = i, 1
		default:
			n++
		}
		if n == longRun {
			return name[:from], true
		}
	}
	return "", false
}
