package office

import (
	"bytes"
	"strings"
)

// classOf tells of a class of objects (in capitals, without braces) why nobody should meet one in a mail: they were attacked in
// real documents, and no document of today needs them.
func classOf(id string) (string, bool) {
	name, ok := map[string]string{
		"0002CE02-0000-0000-C000-000000000046": "equation editor (CVE-2017-11882)",
		"0002CE03-0000-0000-C000-000000000046": "MathType (CVE-2017-11882)",
		"0004A6B0-0000-0000-C000-000000000046": "equation editor",
		"D27CDB6E-AE6D-11CF-96B8-444553540000": "Shockwave Flash",
		"D27CDB70-AE6D-11CF-96B8-444553540000": "Shockwave Flash",
		"3050F4D8-98B5-11CF-BB82-00AA00BDCE0B": "HTML application (CVE-2017-0199)",
		"06290BD3-48AA-11D2-8432-006008C3FBFC": "script moniker (CVE-2017-8570)",
		"ECABB0C7-7F19-11D2-978E-0000F8757E2A": "SOAP moniker (CVE-2017-8759)",
		"79EAC9E0-BAF9-11CE-8C82-00AA004BA90B": "URL moniker",
		"ECABAFC6-7F19-11D2-978E-0000F8757E2A": "composite moniker",
		"00000535-0000-0010-8000-00AA006D2EA4": "ADODB (CVE-2015-0097)",
		"A08A033D-1A75-4AB6-A166-EAD02F547959": "otkloadr (loads without ASLR)",
		"CDDBCC7C-BE18-4A58-9CBF-D62A012272CE": "OSF control",
		"1EFB6596-857C-11D1-B16A-00C0F0283628": "MSComctlLib TabStrip (CVE-2012-1856)",
		"BDD1F04B-858B-11D1-B16A-00C0F0283628": "MSComctlLib ListView (CVE-2012-0158)",
		"996BF5E0-8044-4650-ADEB-0B013914E99C": "MSComctlLib ListView (CVE-2012-0158)",
		"C74190B6-8589-11D1-B16A-00C0F0283628": "MSComctlLib TreeView (CVE-2012-0158)",
		"C27CCE32-8596-11D1-B16A-00C0F0283628": "MSComctlLib ImageCombo",
		"EAB22AC3-30C1-11CF-A7EB-0000C05BAE0B": "Microsoft WebBrowser",
		"8856F961-340A-11D0-A96B-00C04FD705A2": "Microsoft WebBrowser",
	}[id]
	return name, ok
}

// badClass tells the same of the name of a class, as OLE 1.0 and ProgID have it.
func badClass(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, bad := range []string{"equation.", "mathtype", "otkloadr", "mscomctllib", "shockwaveflash", "htmlfile", "scriptletfile", "soap", "wordpadpdf"} {
		if strings.HasPrefix(name, bad) {
			return true
		}
	}
	return name == "equation"
}

// dropped is a file in an object of the packager.
type dropped struct {
	name    string
	names   []string // all that it is told by: programs differ in which of them they show, and under which they open it
	content []byte
}

// parsePackage reads what the packager of Windows writes: a label, the path it came from, a temporary path, and the content.
func parsePackage(b []byte) (dropped, bool) {
	if u16(b, 0) != 2 {
		return dropped{}, false
	}
	rest := b[2:]
	text := func() (string, bool) {
		i := bytes.IndexByte(rest[:min(len(rest), 1024)], 0)
		if i < 0 {
			return "", false
		}
		s := latin(rest[:i])
		rest = rest[i+1:]
		return s, true
	}
	label, ok1 := text()
	path, ok2 := text()
	if !ok1 || !ok2 || len(rest) < 8 {
		return dropped{}, false
	}
	rest = rest[4:] // 0x00000300 of an embedded file, 0x00000100 of a link
	n := int(u32(rest, 0) & 0x7fffffff)
	rest = rest[4:]
	if n > len(rest) {
		return dropped{}, false
	}
	temporary, _, _ := bytes.Cut(rest[:min(n, 1024)], []byte{0})
	rest = rest[n:]
	if len(rest) < 4 {
		return dropped{}, false
	}
	size := int(u32(rest, 0) & 0x7fffffff)
	name := label
	if base := lastName(path); base != "" && !strings.Contains(label, ".") {
		name = base
	}
	p := dropped{name: name, names: []string{label, lastName(path), lastName(latin(temporary))}, content: cut(rest, 4, size)}
	for rest = cut(rest, 4+size, len(rest)); len(rest) > 4 && len(p.names) < 6; { // the same in UTF-16, the temporary path first
		octets := 2 * int(u32(rest, 0)&0xffff)
		p.names = append(p.names, lastName(wide(cut(rest, 4, octets))))
		rest = cut(rest, 4+octets, len(rest))
	}
	return p, true
}

// lastName is what follows the last separator of a path.
func lastName(path string) string {
	return path[strings.LastIndexAny(path, `\/:`)+1:]
}

// ole1 is an object of OLE 1.0, as RTF keeps them. [MS-OLEDS] 2.2.
type ole1 struct {
	class, topic string
	linked       bool
	data         []byte
}

func parseOLE1(b []byte) (ole1, bool) {
	format := u32(b, 4)
	if len(b) < 12 || format != 1 && format != 2 {
		return ole1{}, false
	}
	rest := b[8:]
	text := func() (string, bool) {
		n := int(u32(rest, 0) & 0x7fffffff)
		if len(rest) < 4 || n > len(rest)-4 || n > 4096 {
			return "", false
		}
		s := narrow(rest[4 : 4+n])
		rest = rest[4+n:]
		return s, true
	}
	o := ole1{linked: format == 1}
	var ok1, ok2, ok3 bool
	o.class, ok1 = text()
	o.topic, ok2 = text()
	_, ok3 = text()
	if !ok1 || !ok2 || !ok3 {
		return o, ok1 && o.class != ""
	}
	if !o.linked {
		o.data = cut(rest, 4, int(u32(rest, 0)&0x7fffffff))
	}
	return o, true
}
