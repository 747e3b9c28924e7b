package office

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// autoRun are procedures that Office runs by itself: by name alone in Word and Excel, or as the handler of an event.
func autoRun() []string {
	return []string{"autoexec", "autoopen", "autonew", "autoclose", "autoexit", "auto_open", "auto_close", "auto_activate", "auto_deactivate",
		"document_open", "document_close", "document_new", "document_beforeclose", "documentopen", "documentclose", "documentbeforeclose", "document_documentopen",
		"workbook_open", "workbook_close", "workbook_beforeclose", "workbook_activate", "workbook_deactivate", "workbook_windowactivate",
		"worksheet_activate", "worksheet_calculate", "worksheet_change", "auto_add", "onload", "auto_remove",
		"newdocument", "app_documentopen", "app_workbookopen", "autologon"}
}

// autoEvents are ends of names that events of forms and ActiveX objects have.
func autoEvents() []string {
	return []string{"_painted", "_painting", "_gotfocus", "_lostfocus", "_mousehover", "_layout", "_resize", "_onconnecting", "_onconnected", "_ondisconnected",
		"_statechanged", "_beforenavigate2", "_beforescriptexecute", "_documentcomplete", "_downloadbegin", "_downloadcomplete", "_navigatecomplete2", "_progresschange",
		"_startup"}
}

// suspects are words in source text that run programs, fetch or write files, or reach around the language. What is here is
// rare in macros that calculate and format, and in nearly all of those that do harm.
func suspects() []string {
	return []string{"shell", "shellexecute", "shellexecutea", "shellexecutew", "createobject", "getobject", "wscript.shell", "shell.application", "scripting.filesystemobject",
		"adodb.stream", "msxml2.xmlhttp", "microsoft.xmlhttp", "winhttp.winhttprequest", "urldownloadtofile", "urldownloadtofilea", "internetopen", "internetopena",
		"powershell", "pwsh", "cmd.exe", "cmd /c", "mshta", "rundll32", "regsvr32", "certutil", "bitsadmin", "wscript", "cscript", "wmic", "winmgmts", "schtasks", "msiexec",
		"environ", "kill", "callbyname", "executeexcel4macro", "createthread", "virtualalloc", "virtualprotect", "virtualallocex", "rtlmovememory", "writeprocessmemory",
		"createprocess", "createprocessa", "createremotethread", "loadlibrary", "loadlibrarya", "getprocaddress", "savetofile", "macscript", "applescripttask", "popen",
		"regwrite", "vbproject", "addfromstring", "strreverse", "application.run", "frombase64string", "dllregisterserver"}
}

// declared finds functions of libraries: Declare [PtrSafe] Function Name Lib "x".
func declared(source string) string {
	for line := range strings.SplitSeq(source, "\n") {
		if strings.Contains(line, "declare ") && strings.Contains(line, " lib \"") {
			return fold(short(line, 800))
		}
	}
	return ""
}

// macros adds what the modules of a project tell. project is the stream _VBA_PROJECT, which has all identifiers of the
// compiled code.
func macros(w *unpack.Walk, at int, modules []vbaModule, project []byte) {
	for _, m := range modules {
		w.Sign(at, unpack.Macro, "VBA module "+m.name)
		if m.missing {
			w.Sign(at, unpack.MacroSuspect, "module "+m.name+": compiled code without source text")
		}
	}
	var all strings.Builder
	for _, m := range modules {
		all.WriteString(m.source)
		all.WriteByte('\n')
	}
	found := source(w, at, all.String())
	stomped(w, at, modules, project, found)
}

// source looks at source text, and returns which words it found, in small letters.
func source(w *unpack.Walk, at int, text string) map[string]bool {
	plain := strings.ToLower(code(text))
	found := map[string]bool{}
	words := wordsOf(plain)
	for _, name := range autoRun() {
		if words[name] {
			found[name] = true
			w.Sign(at, unpack.AutoExec, name)
		}
	}
	for word := range words {
		for _, end := range autoEvents() {
			if strings.HasSuffix(word, end) && strings.Contains(plain, "sub "+word) && !found[word] {
				found[word] = true
			}
		}
	}
	for _, name := range sorted(found) {
		w.Sign(at, unpack.AutoExec, name)
	}
	open := unwrap(plain)
	for _, name := range suspects() {
		switch {
		case words[name] || strings.ContainsAny(name, ". ") && strings.Contains(plain, name):
			found[name] = true
			w.Sign(at, unpack.MacroSuspect, name)
		case len(name) > 4 && strings.Contains(open, name) && !strings.Contains(plain, name):
			found[name] = true
			w.Sign(at, unpack.MacroSuspect, "disguised: "+name)
		}
	}
	if d := declared(plain); d != "" {
		w.Sign(at, unpack.MacroSuspect, d)
	}
	disguise(w, at, plain)
	for _, u := range urlsOf(open, 32) {
		w.Link(at, unpack.Link{URI: u, Where: "document"})
	}
	return found
}

func sorted(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// code drops attributes and comments, and joins lines that go on.
func code(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	text = strings.ReplaceAll(text, " _\n", " ")
	var out strings.Builder
	out.Grow(len(text))
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "Attribute ") {
			continue
		}
		quoted := false
		for i := 0; i < len(line); i++ {
			if line[i] == '"' {
				quoted = !quoted
			}
			if line[i] == '\'' && !quoted {
				line = line[:i]
				break
			}
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return out.String()
}

// wordsOf is the set of identifiers of a text.
func wordsOf(text string) map[string]bool {
	words := map[string]bool{}
	start := -1
	for i := 0; i <= len(text); i++ {
		letter := i < len(text) && (text[i] == '_' || text[i] >= '0' && text[i] <= '9' || text[i] >= 'a' && text[i] <= 'z' || text[i] >= 'A' && text[i] <= 'Z' || text[i] >= 0x80)
		switch {
		case letter && start < 0:
			start = i
		case !letter && start >= 0:
			if i-start <= 64 && len(words) < 1<<16 {
				words[text[start:i]] = true
			}
			start = -1
		}
	}
	return words
}

// unwrap does what disguises undo: Chr(80) is "P", "po" & "wer" is "power", StrReverse("cba") is "abc".
func unwrap(text string) string {
	text = regexp.MustCompile(`\bchrw?\$?\(\s*(&h[0-9a-f]{1,4}|[0-9]{1,5})\s*\)`).ReplaceAllStringFunc(text, func(call string) string {
		n := strings.Trim(call[strings.IndexByte(call, '(')+1:], " )\t")
		base := 10
		if h, ok := strings.CutPrefix(n, "&h"); ok {
			n, base = h, 16
		}
		v, err := strconv.ParseUint(n, base, 16)
		if err != nil || v < 32 || v > 126 || v == '"' {
			return call
		}
		return `"` + string(rune(v)) + `"`
	})
	text = regexp.MustCompile(`"\s*[&+]\s*"`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`strreverse\(\s*"([^"\n]+)"\s*\)`).ReplaceAllStringFunc(text, func(call string) string {
		s := []byte(call[strings.IndexByte(call, '"')+1 : strings.LastIndexByte(call, '"')])
		slices.Reverse(s)
		return `"` + string(s) + `"`
	})
	return strings.ToLower(text)
}

// disguise tells what only hides what a macro does.
func disguise(w *unpack.Walk, at int, text string) {
	if n := strings.Count(text, "chr(") + strings.Count(text, "chrw(") + strings.Count(text, "chr$(") + strings.Count(text, "chrw$("); n >= 10 {
		w.Sign(at, unpack.MacroSuspect, "disguise: "+strconv.Itoa(n)+" calls of Chr")
	}
	for literal := ""; ; {
		_, rest, ok := strings.Cut(text, `"`)
		if !ok {
			return
		}
		literal, text, _ = strings.Cut(rest, `"`)
		switch {
		case len(literal) >= 64 && strings.Trim(literal, "0123456789abcdef") == "":
			w.Sign(at, unpack.MacroSuspect, "disguise: a text of hexadecimal digits: "+short(literal, 40))
			return
		case len(literal) >= 200 && strings.Trim(literal, "0123456789abcdefghijklmnopqrstuvwxyz+/=") == "":
			w.Sign(at, unpack.MacroSuspect, "disguise: a text of Base64: "+short(literal, 40))
			return
		}
	}
}

// stomped looks for names in the compiled code that the source text does not have: such code runs and cannot be read.
func stomped(w *unpack.Walk, at int, modules []vbaModule, project []byte, found map[string]bool) {
	if len(modules) == 0 {
		return
	}
	compiled := [][]byte{project}
	for _, m := range modules {
		compiled = append(compiled, m.compiled)
	}
	for _, b := range compiled {
		words := wordsOf(strings.ToLower(latin(b)))
		for _, name := range autoRun() {
			if words[name] && !found[name] {
				found[name] = true
				w.Sign(at, unpack.AutoExec, name+", in compiled code only")
				w.Sign(at, unpack.MacroSuspect, "stomped: "+name+" is in the compiled code and not in the source text")
			}
		}
	}
}

// urlsOf finds addresses in a text, in small letters as it is.
func urlsOf(text string, most int) []string {
	var out []string
	for at := 0; len(out) < most; {
		i := strings.Index(text[at:], "://")
		if i < 0 {
			break
		}
		i += at
		at = i + 3
		start := i
		for start > 0 && i-start < 6 && text[start-1] >= 'a' && text[start-1] <= 'z' {
			start--
		}
		if s := text[start:i]; s != "http" && s != "https" && s != "ftp" && s != "file" {
			continue
		}
		end := i + 3
		for end < len(text) && end-start < 2048 && text[end] > ' ' && text[end] < 0x7f && !strings.ContainsRune("\"'<>|`", rune(text[end])) {
			end++
		}
		if end > i+4 {
			out = append(out, strings.TrimRight(text[start:end], ".,;)"))
		}
		at = end
	}
	return out
}
