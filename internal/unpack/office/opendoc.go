package office

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"path"
	"strings"

	"gatepost/internal/unpack"
)

// openDocument is a document of LibreOffice and its kin. OASIS ODF 1.3 part 2: a zip whose manifest says what is encrypted.
type openDocument struct{}

func (openDocument) Name() string { return "odf" }

func (openDocument) Match(head []byte, c unpack.Content) bool {
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) && bytes.HasPrefix(cut(head, 30, len(head)), []byte("mimetypeapplication/vnd.")) {
		return true
	}
	return mentions(c, head, "meta-inf/manifest.xml", "/m") && holds(c, "META-INF/manifest.xml") && holds(c, "content.xml")
}

func (openDocument) Open(w *unpack.Walk, at int, c unpack.Content) error {
	z, err := openZip(w, at, c)
	if err != nil {
		return err
	}
	z.twice()
	for _, f := range z.z.File {
		name := strings.ToLower(partName(f.Name))
		var err error
		switch base, ext := path.Base(name), extension(name); {
		case f.FileInfo().IsDir(), name == "mimetype", quiet(ext):
		case strings.HasPrefix(name, "meta-inf/"):
			err = z.manifest(f)
		case strings.HasPrefix(name, "basic/") || strings.HasPrefix(name, "dialogs/"):
			if base != "script-lb.xml" && base != "script-lc.xml" && ext == ".xml" {
				w.Sign(at, unpack.Macro, "Basic "+f.Name)
				err = z.part(f)
			}
		case strings.HasPrefix(name, "scripts/"):
			w.Sign(at, unpack.Macro, "script "+f.Name)
			err = z.enter(f)
		case base == "content.xml" || base == "styles.xml":
			err = z.part(f)
		case ext == ".xml" || ext == ".rdf" || strings.HasPrefix(name, "objectreplacements/") || strings.HasPrefix(name, "configurations2/") || strings.HasPrefix(name, "thumbnails/"):
		default:
			w.Sign(at, unpack.Embedded, f.Name)
			err = z.enter(f)
		}
		if err != nil {
			return err
		}
	}
	return z.err
}

// manifest tells of encryption: part 2, 4.8. Each encrypted entry has its own; one is enough to say so.
func (z *zipped) manifest(f *zip.File) error {
	b, err := z.read(f)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte("encryption-data")) || bytes.Contains(b, []byte("encrypted-key")) {
		z.w.Sign(z.at, unpack.Encrypted, "document")
	}
	return nil
}

func (z *zipped) part(f *zip.File) error {
	b, err := z.read(f)
	if err != nil {
		return err
	}
	odfXML(z.w, z.at, b)
	return nil
}

// odfXML looks at XML of ODF: part 3. Events that run a script, what is elsewhere, DDE, links, and the source text of Basic.
func odfXML(w *unpack.Walk, at int, b []byte) {
	var basic strings.Builder
	module, binary := false, false
	tokens(w, b, func(t xml.Token) {
		switch t := t.(type) {
		case xml.StartElement:
			module = module || t.Name.Local == "module" || t.Name.Local == "source-code"
			binary = t.Name.Local == "binary-data"
			odfElement(w, at, t)
		case xml.EndElement:
			module = module && t.Name.Local != "module" && t.Name.Local != "source-code"
			binary = false
		case xml.CharData:
			if module && !binary && basic.Len() < maxVBA {
				basic.Write(t)
			}
		}
	})
	if basic.Len() > 0 {
		w.Sign(at, unpack.Macro, "Basic source text")
		source(w, at, basic.String())
	}
}

func odfElement(w *unpack.Walk, at int, e xml.StartElement) {
	href := strings.TrimSpace(attr(e, "href"))
	lower := strings.ToLower(href)
	switch e.Name.Local {
	case "event-listener", "event":
		name := attr(e, "event-name")
		if strings.HasPrefix(lower, "vnd.sun.star.script:") || strings.HasPrefix(lower, "macro:") || attr(e, "macro-name") != "" {
			w.Sign(at, unpack.Macro, "event "+name+": "+href+attr(e, "macro-name"))
			if autoEvent(name) {
				w.Sign(at, unpack.AutoExec, name)
			}
		}
	case "a":
		switch {
		case strings.HasPrefix(lower, "vnd.sun.star.script:") || strings.HasPrefix(lower, "macro:"):
			w.Sign(at, unpack.Macro, "link to a macro: "+href)
		case href != "" && href[0] != '#':
			w.Link(at, unpack.Link{URI: href, Where: "document"})
		}
	case "dde-connection-decl", "dde-source":
		w.Sign(at, unpack.DDE, attr(e, "dde-application")+" | "+attr(e, "dde-topic")+" "+attr(e, "dde-item"))
	default:
		if href != "" && remote(href) {
			w.Sign(at, unpack.RemoteContent, e.Name.Local+": "+href)
		}
	}
	// =DDE("cmd"; "/c calc"; "x") and =WEBSERVICE("http...") in a cell
	if formula := attr(e, "formula"); formula != "" {
		upper := strings.ToUpper(formula)
		if strings.Contains(upper, "DDE(") {
			w.Sign(at, unpack.DDE, formula)
		}
		if strings.Contains(upper, "WEBSERVICE(") {
			w.Sign(at, unpack.RemoteContent, formula)
		}
	}
}

// autoEvent reports whether an event comes without the reader's doing more than opening and closing.
func autoEvent(name string) bool {
	_, local, ok := strings.Cut(name, ":")
	if !ok {
		local = name
	}
	switch strings.ToLower(local) {
	case "load", "load-finished", "view-created", "onload", "onfocus", "focus", "unload", "onunload", "prepare-unload", "new", "create", "title-changed", "mode-changed", "page-count-change", "layout-finished":
		return true
	}
	return false
}
