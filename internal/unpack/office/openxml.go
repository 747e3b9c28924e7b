package office

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"path"
	"strings"

	"gatepost/internal/unpack"
)

// openXML is a document of Office 2007 and later. ECMA-376 part 2: its content types say what each entry is, whatever the
// document is called; relationships say what is linked, and what is elsewhere.
type openXML struct{}

func (openXML) Name() string { return "ooxml" }

func (openXML) Match(head []byte, c unpack.Content) bool {
	return mentions(c, head, "[content_types].xml", "].") && holds(c, "[Content_Types].xml")
}

func (openXML) Open(w *unpack.Walk, at int, c unpack.Content) error {
	z, err := openZip(w, at, c)
	if err != nil {
		return err
	}
	z.twice()
	for _, f := range z.z.File {
		name := strings.ToLower(partName(f.Name))
		var err error
		switch ext := extension(name); {
		case f.FileInfo().IsDir():
		case name == "[content_types].xml":
			err = z.contentTypes(f)
		case ext == ".rels":
			err = z.relationships(f)
		case strings.HasSuffix(name, ".bin") && strings.HasPrefix(path.Base(name), "printersettings"):
		case ext == ".xml" || ext == ".vml":
			err = z.xmlPart(f, name)
		case ext == ".bin" && strings.Contains(name, "/activex"):
			w.Sign(at, unpack.Embedded, "ActiveX: "+f.Name)
			err = z.enter(f)
		case quiet(ext):
		default:
			if strings.Contains(name, "/embeddings/") {
				w.Sign(at, unpack.Embedded, f.Name)
			}
			err = z.enter(f)
		}
		if err != nil {
			return err
		}
	}
	return z.err
}

// quiet are entries that nothing is looked for in: pictures, sounds, fonts.
func quiet(ext string) bool {
	switch ext {
	case ".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".tif", ".tiff", ".emf", ".wmf", ".emz", ".wmz", ".wdp", ".ico", ".pcx", ".pict",
		".wav", ".mp3", ".mp4", ".m4a", ".m4v", ".wmv", ".avi", ".mov", ".mpg", ".odttf", ".ttf", ".fntdata", ".thmx", ".psmdcp", ".dat", ".model3d", ".glb":
		return true
	}
	return false
}

// contentTypes tells macros by what is declared: a .docx that is a .docm says so here.
func (z *zipped) contentTypes(f *zip.File) error {
	b, err := z.read(f)
	if err != nil {
		return err
	}
	tokens(z.w, b, func(t xml.Token) {
		e, ok := t.(xml.StartElement)
		if !ok {
			return
		}
		part, kind := attr(e, "PartName"), strings.ToLower(attr(e, "ContentType"))
		switch {
		case strings.Contains(kind, "macroenabled"):
			z.w.Sign(z.at, unpack.Macro, "content type "+kind[strings.LastIndexByte(kind, '/')+1:])
		case strings.Contains(kind, "vbaproject") && part != "":
			z.w.Sign(z.at, unpack.Macro, "VBA project "+part)
		case strings.Contains(kind, "macrosheet") || strings.Contains(kind, "intlmacrosheet"):
			z.w.Sign(z.at, unpack.Macro, "Excel 4 macro sheet "+part)
		case strings.Contains(kind, "activex+xml"):
			z.w.Sign(z.at, unpack.Embedded, "ActiveX: "+part)
		case strings.Contains(kind, "ms-word.attachedtoolbars"), strings.Contains(kind, "keymapcustomizations"):
			z.w.Sign(z.at, unpack.MacroSuspect, "keys or toolbars bound to macros: "+part)
		}
	})
	return nil
}

// relationships reads what a part is related to. What is external and no hyperlink is fetched when the document is opened.
func (z *zipped) relationships(f *zip.File) error {
	b, err := z.read(f)
	if err != nil {
		return err
	}
	tokens(z.w, b, func(t xml.Token) {
		e, ok := t.(xml.StartElement)
		if !ok || e.Name.Local != "Relationship" {
			return
		}
		kind, target := attr(e, "Type"), strings.TrimSpace(attr(e, "Target"))
		kind = strings.ToLower(kind[strings.LastIndexByte(kind, '/')+1:])
		switch {
		case kind == "vbaproject" || kind == "wordvbadata":
			z.w.Sign(z.at, unpack.Macro, "VBA project "+target)
		case kind == "xlmacrosheet" || kind == "xlintlmacrosheet":
			z.w.Sign(z.at, unpack.Macro, "Excel 4 macro sheet "+target)
		case !strings.EqualFold(attr(e, "TargetMode"), "External"):
		case kind == "hyperlink":
			if !strings.HasPrefix(target, "#") {
				z.w.Link(z.at, unpack.Link{URI: target, Where: "document"})
			}
		case remote(target):
			z.w.Sign(z.at, unpack.RemoteContent, kind+": "+target)
		case kind == "attachedtemplate" || kind == "externallinkpath" || kind == "xlpathmissing":
			// a template or a workbook of the author's own disk: nothing is there for the reader
		case kind == "oleobject" || kind == "frame" || kind == "subdocument":
			z.w.Sign(z.at, unpack.RemoteContent, kind+": "+target)
		}
	})
	return nil
}

// xmlPart looks at a part for fields and for what Excel keeps of names and links. Only parts in which a telling word occurs are parsed.
func (z *zipped) xmlPart(f *zip.File, name string) error {
	if strings.HasPrefix(name, "xl/worksheets/") || strings.HasPrefix(name, "xl/sharedstrings") || strings.HasPrefix(name, "docprops/") || strings.HasPrefix(name, "xl/styles") {
		return nil
	}
	b, err := z.read(f)
	if err != nil {
		return err
	}
	if strings.Contains(name, "/macrosheets/") {
		z.w.Sign(z.at, unpack.Macro, "Excel 4 macro sheet "+f.Name)
		z.macroSheet(b)
	}
	if bytes.Contains(b, []byte("instrText")) || bytes.Contains(b, []byte("fldSimple")) {
		z.fields(b)
	}
	if bytes.Contains(b, []byte("ddeLink")) || bytes.Contains(b, []byte("definedName")) || bytes.Contains(b, []byte("oleLink")) {
		z.names(b)
	}
	if bytes.Contains(b, []byte("classid")) {
		tokens(z.w, b, func(t xml.Token) {
			if e, ok := t.(xml.StartElement); ok {
				if bad, is := classOf(strings.ToUpper(strings.Trim(attr(e, "classid"), "{}"))); is {
					z.w.Sign(z.at, unpack.Equation, bad)
				}
			}
		})
	}
	if bytes.Contains(b, []byte("ProgID")) || bytes.Contains(b, []byte("progId")) {
		tokens(z.w, b, func(t xml.Token) {
			if e, ok := t.(xml.StartElement); ok && badClass(attr(e, "ProgID")+attr(e, "progId")) {
				z.w.Sign(z.at, unpack.Equation, attr(e, "ProgID")+attr(e, "progId"))
			}
		})
	}
	return nil
}

// names reads DDE links and defined names of Excel: ECMA-376 part 1, 18.14.4 and 18.2.5.
func (z *zipped) names(b []byte) {
	tokens(z.w, b, func(t xml.Token) {
		e, ok := t.(xml.StartElement)
		if !ok {
			return
		}
		switch e.Name.Local {
		case "ddeLink":
			z.w.Sign(z.at, unpack.DDE, attr(e, "ddeService")+" | "+attr(e, "ddeTopic"))
		case "definedName":
			autoName(z.w, z.at, attr(e, "name"))
		case "sheet":
			if s := attr(e, "state"); strings.EqualFold(s, "veryHidden") && strings.Contains(strings.ToLower(attr(e, "name")), "macro") {
				z.w.Sign(z.at, unpack.MacroSuspect, "very hidden sheet "+attr(e, "name"))
			}
		}
	})
}

// macroSheet looks for formulas of Excel 4 that run something.
func (z *zipped) macroSheet(b []byte) {
	formula := false
	tokens(z.w, b, func(t xml.Token) {
		switch t := t.(type) {
		case xml.StartElement:
			formula = t.Name.Local == "f"
		case xml.EndElement:
			formula = false
		case xml.CharData:
			if !formula {
				return
			}
			text := strings.ToUpper(string(t))
			for _, call := range []string{"EXEC", "CALL", "REGISTER", "FOPEN", "FWRITE", "FWRITELN", "EXECUTE", "INITIATE", "URLDOWNLOADTOFILEA"} {
				if i := strings.Index(text, call+"("); i >= 0 && (i == 0 || !letter(text[i-1])) {
					z.w.Sign(z.at, unpack.MacroSuspect, "Excel 4 macro: "+call)
				}
			}
		}
	})
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '.' || c == '_' }
