package office

import (
	"bytes"
	"encoding/xml"
	"strings"

	"gatepost/internal/unpack"
)

// shortcutText is a shortcut that is a text: .url, .website, .desktop, .scf, .library-ms, .search-ms, .settingcontent-ms.
type shortcutText struct{}

func (shortcutText) Name() string { return "shortcut" }

func (shortcutText) Match(head []byte, _ unpack.Content) bool {
	text := strings.ToLower(string(bytes.TrimSpace(utf8Of(head))))
	for _, begin := range []string{"[internetshortcut]", "[internetshortcut.", "[desktop entry]", "[{000214a0-"} {
		if i := strings.Index(text, begin); i == 0 || i > 0 && text[i-1] == '\n' && iniOnly(text[:i]) {
			return true
		}
	}
	if strings.HasPrefix(text, "[shell]") {
		return strings.Contains(text, "command=") || strings.Contains(text, "iconfile=")
	}
	if !strings.HasPrefix(text, "<") {
		return false
	}
	for _, root := range []string{"<librarydescription", "<persistedquery", "<pcsettings", "<searchablecontent"} {
		if strings.Contains(text, root) {
			return true
		}
	}
	return false
}

// iniOnly reports whether all lines are sections, comments and settings.
func iniOnly(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '[' && line[0] != ';' && line[0] != '#' && !strings.Contains(line, "=") {
			return false
		}
	}
	return true
}

func (shortcutText) Open(w *unpack.Walk, at int, c unpack.Content) error {
	b := utf8Of(cut(c.Bytes(), 0, 1<<20)) // a shortcut of more than a megabyte is cut
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("<")) {
		element := ""
		tokens(w, b, func(t xml.Token) {
			switch t := t.(type) {
			case xml.StartElement:
				element = strings.ToLower(t.Name.Local)
			case xml.EndElement:
				element = ""
			case xml.CharData:
				text := fold(string(t))
				switch element {
				case "deeplink":
					w.Sign(at, unpack.Shortcut, text)
				case "url", "locationprovider", "include", "path":
					if remote(text) {
						w.Sign(at, unpack.Shortcut, text)
						w.Sign(at, unpack.RemoteContent, text)
					}
				}
			}
		})
		return nil
	}
	for line := range strings.SplitSeq(latin(b), "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.TrimSpace(value)
		if !ok || value == "" {
			continue
		}
		switch key = strings.ToLower(strings.TrimSpace(key)); key {
		case "url", "baseurl":
			w.Sign(at, unpack.Shortcut, value)
			w.Link(at, unpack.Link{URI: value, Where: "document"})
		case "exec", "tryexec", "command":
			w.Sign(at, unpack.Shortcut, value)
		case "iconfile", "icon", "workingdirectory", "path":
			if remote(value) {
				w.Sign(at, unpack.RemoteContent, key+": "+value)
			}
		}
	}
	return nil
}

// sheetText is a text that Excel opens as a table: a web query (.iqy), SYLK (.slk), and lists of values (.csv) with a formula that
// starts a program by DDE.
type sheetText struct{}

func (sheetText) Name() string { return "sheet" }

func (sheetText) Match(head []byte, c unpack.Content) bool {
	switch {
	case bytes.HasPrefix(head, []byte("WEB\n")), bytes.HasPrefix(head, []byte("WEB\r\n")), bytes.HasPrefix(head, []byte("ID;P")):
		return true
	case len(head) < 4 || head[0] == '<' || bytes.HasPrefix(head, []byte("%PDF")) || bytes.HasPrefix(head, []byte("#!")):
		return false
	}
	control := 0
	for _, b := range head {
		if b < ' ' && !bytes.ContainsRune([]byte("\t\r\n\x00"), rune(b)) {
			control++
		}
	}
	return control <= 4+len(head)/16 && ddeFormula(c.Bytes()) != "" // others are no text
}

func (sheetText) Open(w *unpack.Walk, at int, c unpack.Content) error {
	all := c.Bytes()
	b := cut(all, 0, 4<<20)
	if bytes.HasPrefix(b, []byte("WEB")) {
		for line := range strings.SplitSeq(latin(b), "\n") {
			if line = strings.TrimSpace(line); remote(line) {
				w.Sign(at, unpack.RemoteContent, "web query: "+line)
				w.Link(at, unpack.Link{URI: line, Where: "document"})
			}
		}
		return nil
	}
	if f := ddeFormula(all); f != "" {
		w.Sign(at, unpack.DDE, f)
	}
	if !bytes.HasPrefix(b, []byte("ID;P")) {
		return nil
	}
	calls := map[string]bool{}
	for line := range strings.SplitSeq(latin(b), "\n") {
		upper := strings.ToUpper(strings.TrimSpace(line))
		switch {
		case strings.HasPrefix(upper, "O;"):
			if strings.Contains(upper+";", ";E;") {
				w.Sign(at, unpack.Macro, "SYLK with Excel 4 macros")
			}
		case strings.HasPrefix(upper, "NN;"):
			for part := range strings.SplitSeq(line, ";") {
				if strings.HasPrefix(part, "N") {
					autoName(w, at, part[1:])
				}
			}
		case strings.HasPrefix(upper, "C;"):
			for _, call := range []string{"EXEC(", "CALL(", "REGISTER(", "FOPEN(", "EXECUTE(", "INITIATE("} {
				if strings.Contains(upper, call) {
					calls[strings.TrimSuffix(call, "(")] = true
				}
			}
		}
	}
	for _, call := range sorted(calls) {
		w.Sign(at, unpack.MacroSuspect, "Excel 4 macro: "+call)
	}
	return nil
}
