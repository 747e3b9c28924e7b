package office

import (
	"strings"

	"gatepost/internal/unpack"
)

// Records of a workbook. [MS-XLS] 2.3.
const (
	biffFormula    = 0x06
	biffName       = 0x18
	biffExternName = 0x23
	biffFilePass   = 0x2F
	biffBoundSheet = 0x85
	biffSupBook    = 0x1AE
	biffBOF        = 0x809
)

// workbook looks at the stream of Excel 97 to 2003: which sheets are macro sheets, what runs by itself, what is linked.
func (o *oleFile) workbook(b []byte) {
	records := func(f func(id int, body []byte, at int) bool) {
		for at := 0; at+4 <= len(b); {
			id, n := u16(b, at), u16(b, at+2)
			if !f(id, cut(b, at+4, n), at) {
				return
			}
			at += 4 + n
		}
	}
	records(func(id int, body []byte, at int) bool {
		if id == biffFilePass {
			if plain := biffDecrypt(b, body); plain != nil {
				o.w.Sign(o.at, unpack.OpenPassword, knownPassword)
				b = plain
				return false
			}
			o.w.Sign(o.at, unpack.Encrypted, "document")
			b = b[:at]
			return false
		}
		return at < 1<<20
	})
	macro := false // whether the sheet that is read is a macro sheet
	calls := map[string]bool{}
	records(func(id int, body []byte, at int) bool {
		switch id {
		case biffBOF, 0x409, 0x209:
			macro = u16(body, 2) == 0x40
		case biffBoundSheet:
			o.boundSheet(body)
		case biffName:
			o.definedName(body)
		case biffSupBook:
			o.supBook(body)
		case biffFormula, 0x406, 0x206:
			if macro && len(calls) < 32 {
				xlmCalls(cut(body, 22, u16(body, 20)), calls)
			}
		}
		return at&0xffff != 0 || o.w.Check() == nil
	})
	for _, name := range sorted(calls) {
		o.w.Sign(o.at, unpack.MacroSuspect, "Excel 4 macro: "+name)
	}
}

// boundSheet is the entry of a sheet: 2.4.28.
func (o *oleFile) boundSheet(b []byte) {
	if len(b) < 8 || b[5] != 1 {
		return
	}
	name := biffText(b[6:])
	o.w.Sign(o.at, unpack.Macro, "Excel 4 macro sheet "+name)
	switch b[4] & 3 {
	case 1:
		o.w.Sign(o.at, unpack.MacroSuspect, "hidden macro sheet "+name)
	case 2:
		o.w.Sign(o.at, unpack.MacroSuspect, "very hidden macro sheet "+name)
	}
}

// biffText reads a ShortXLUnicodeString, or the text of BIFF5 which has no octet of flags.
func biffText(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	n := int(b[0])
	switch {
	case b[1]&^1 != 0:
		return latin(cut(b, 1, n))
	case b[1]&1 == 1:
		return wide(cut(b, 2, 2*n))
	}
	return latin(cut(b, 2, n))
}

// definedName is a name: 2.4.150. Auto_Open is a built-in one, or is spelt out.
func (o *oleFile) definedName(b []byte) {
	if len(b) < 15 {
		return
	}
	text := biffText(append([]byte{b[3]}, b[14:]...))
	if b[0]&0x20 != 0 && len(text) > 0 {
		switch text[0] {
		case 1:
			text = "Auto_Open"
		case 2:
			text = "Auto_Close"
		case 10:
			text = "Auto_Activate"
		case 11:
			text = "Auto_Deactivate"
		}
	}
	autoName(o.w, o.at, text)
}

// autoName tells of a name that Excel runs. It takes any name that begins like that, and ignores what is not shown in it.
func autoName(w *unpack.Walk, at int, name string) {
	name = strings.ToLower(strings.Map(func(r rune) rune {
		if r < 0x21 || r >= 0x7f {
			return -1
		}
		return r
	}, name))
	name = strings.TrimPrefix(name, "_xlnm.")
	for _, auto := range []string{"auto_open", "auto_close", "auto_activate", "auto_deactivate"} {
		if strings.HasPrefix(name, auto) {
			w.Sign(at, unpack.AutoExec, auto)
		}
	}
}

// supBook is what a workbook is linked to: 2.4.271. A DDE link has an application and a topic with 0x03 between them.
func (o *oleFile) supBook(b []byte) {
	n := u16(b, 2)
	if n == 0x401 || n == 0x3A01 || len(b) < 6 {
		return
	}
	var path string
	if b[4]&1 == 1 {
		path = wide(cut(b, 5, 2*n))
	} else {
		path = latin(cut(b, 5, n))
	}
	externalPath(o.w, o.at, path)
}

// externalPath tells of a link of Excel.
func externalPath(w *unpack.Walk, at int, path string) {
	if app, topic, ok := strings.Cut(path, "\x03"); ok {
		w.Sign(at, unpack.DDE, app+" | "+topic)
		return
	}
	path = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, path)
	if remote(path) {
		w.Sign(at, unpack.RemoteContent, "linked workbook: "+path)
	}
}

// xlmCalls adds the functions of a parsed formula that run something. [MS-XLS] 2.5.198. It ends at the first token that it does
// not know: what follows would be guessed.
func xlmCalls(b []byte, calls map[string]bool) {
	names := map[int]string{110: "EXEC", 150: "CALL", 149: "REGISTER", 132: "FOPEN", 137: "FWRITELN", 138: "FWRITE", 178: "EXECUTE", 175: "INITIATE", 267: "REGISTER.ID"}
	for len(b) > 0 {
		id := b[0]
		if id >= 0x40 {
			id = id&0x1f | 0x20
		}
		n := 0
		switch {
		case id >= 0x03 && id <= 0x16: // operators
			n = 1
		case id == 0x17: // a text
			if len(b) < 3 {
				return
			}
			n = 3 + int(b[1])*(1+int(b[2]&1))
		case id == 0x19: // an attribute, one of which has a table
			n = 4
			if len(b) >= 4 && b[1]&4 != 0 {
				n = 4 + 2*(u16(b, 2)+1)
			}
		case id == 0x1C || id == 0x1D:
			n = 2
		case id == 0x1E:
			n = 3
		case id == 0x1F:
			n = 9
		case id == 0x21:
			n = 3
			if name := names[u16(b, 1)]; name != "" {
				calls[name] = true
			}
		case id == 0x22:
			n = 4
			if name := names[u16(b, 2)&0x7fff]; name != "" && u16(b, 2)&0x8000 == 0 {
				calls[name] = true
			}
		case id == 0x23, id == 0x24, id == 0x2A, id == 0x2C:
			n = 5
		case id == 0x25, id == 0x2B, id == 0x2D:
			n = 9
		case id == 0x26, id == 0x27, id == 0x28, id == 0x39, id == 0x3A, id == 0x3C:
			n = 7
		case id == 0x29:
			n = 3
		case id == 0x3B, id == 0x3D:
			n = 11
		default:
			return
		}
		b = b[min(n, len(b)):]
	}
}

// remote reports whether a target is elsewhere: an address, or a share of another host.
func remote(target string) bool {
	t := strings.ToLower(strings.TrimSpace(target))
	t = strings.TrimPrefix(t, "url:")
	if strings.HasPrefix(t, `\\`) || strings.HasPrefix(t, "//") {
		return true
	}
	scheme, rest, ok := strings.Cut(t, ":")
	if !ok || len(scheme) < 2 || rest == "" {
		return false // a path, or a drive
	}
	switch scheme {
	case "http", "https", "ftp", "mhtml", "ms-msdt", "script", "soap", "ldap", "gopher", "smb", "tftp", "webdav", "dav", "search-ms", "ms-officecmd", "javascript", "vbscript", "data", "x-usc", "mk", "its", "ms-its":
		return true
	case "file":
		p := strings.TrimLeft(rest, "/")
		slashes := len(rest) - len(p)
		return slashes == 2 && p != "" && !strings.HasPrefix(p, "localhost/") || slashes >= 4 || strings.HasPrefix(p, `\\`) || strings.HasPrefix(rest, `\\`)
	}
	return false
}
