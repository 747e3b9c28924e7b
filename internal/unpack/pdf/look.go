package pdf

import (
	"errors"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// looker looks at the objects of a file.
type looker struct {
	w       *unpack.Walk
	at      int
	f       *file
	skip    int             // the object that has the encryption
	entered map[*entry]bool // objects whose stream was handed to the walk
	specs   int
	steps   int
}

const (
	maxSpecs = 2000    // embedded files
	maxSteps = 4 << 20 // objects that are looked at in all
)

// entry looks at an object and at what lies in it.
func (l *looker) entry(e *entry) error {
	var err error
	var visit func(o object, depth int)
	visit = func(o object, depth int) {
		if l.steps++; err != nil || depth > maxDepth || l.steps > maxSteps {
			return
		}
		switch o := o.(type) {
		case array:
			for _, v := range o {
				visit(v, depth+1)
			}
		case *dict:
			if err = l.dict(e, o); err != nil {
				return
			}
			for _, v := range o.values {
				visit(v, depth+1)
			}
		}
	}
	visit(e.value, 0)
	if l.steps > maxSteps {
		return l.w.Over(unpack.TooMuch, l.at)
	}
	return err
}

// dict looks at one dictionary, wherever it lies: an action, a file specification, an annotation, a catalog. 12.6, 7.11, 12.5.
func (l *looker) dict(e *entry, d *dict) error {
	f := l.f
	if o := d.get("OpenAction"); o != nil {
		l.byItself(e, "OpenAction", o)
	}
	if aa := f.dict(d.get("AA")); aa != nil {
		for i, v := range aa.values {
			l.byItself(e, "AA "+string(aa.keys[i]), v)
		}
	}
	if js := d.get("JS"); js != nil {
		if err := l.script(e, js); err != nil {
			return err
		}
	}
	kind, _ := f.resolve(d.get("S")).(name)
	switch kind {
	case "URI":
		if u := l.text(e, d.get("URI")); u != "" {
			l.w.Link(l.at, unpack.Link{URI: u, Where: "document"})
		}
	case "Launch":
		l.w.Sign(l.at, unpack.Launch, "Launch "+l.target(e, d))
	case "SubmitForm", "ImportData":
		l.w.Sign(l.at, unpack.Launch, string(kind)+" "+l.target(e, d))
	case "GoToR", "GoToE", "Thread":
		if t := l.target(e, d); elsewhere(t) {
			l.w.Sign(l.at, unpack.RemoteContent, string(kind)+" "+t)
		}
	case "RichMediaExecute", "Rendition", "Movie":
		l.w.Sign(l.at, unpack.Embedded, string(kind))
	}
	switch kind, _ := f.resolve(d.get("Subtype")).(name); kind {
	case "RichMedia", "3D", "Screen", "Movie":
		l.w.Sign(l.at, unpack.Embedded, "annotation "+string(kind))
	}
	if x := d.get("XFA"); x != nil {
		if err := l.xfa(x); err != nil {
			return err
		}
	}
	if f.dict(d.get("EF")) != nil {
		return l.spec(e, d)
	}
	return nil
}

// elsewhere reports whether a target is on another host.
func elsewhere(t string) bool {
	return strings.HasPrefix(t, `\\`) || strings.HasPrefix(t, "//") || strings.Contains(t, "://")
}

// target is the file or the address of an action.
func (l *looker) target(e *entry, d *dict) string {
	name := func(o object) string {
		if s := l.text(e, o); s != "" {
			return s
		}
		spec := l.f.dict(o)
		for _, key := range []name{"UF", "F", "Unix", "DOS", "Mac"} {
			if s := l.text(e, spec.get(key)); s != "" {
				return s
			}
		}
		return ""
	}
	t := name(d.get("F"))
	if win := l.f.dict(d.get("Win")); win != nil {
		t = strings.TrimSpace(t + " " + name(win.get("F")) + " " + l.text(e, win.get("P")))
	}
	return t
}

// byItself looks at an action that is done without a click.
func (l *looker) byItself(e *entry, when string, o object) {
	a := l.f.dict(o) // a destination is an array, and does nothing
	for range 16 {
		if a == nil {
			return
		}
		kind, _ := l.f.resolve(a.get("S")).(name)
		switch kind {
		case "URI":
			l.w.Sign(l.at, unpack.Launch, when+": URI "+l.text(e, a.get("URI")))
		case "JavaScript":
			l.w.Sign(l.at, unpack.Script, "runs by itself ("+when+")")
		case "Launch", "SubmitForm", "ImportData", "GoToR", "GoToE":
			l.w.Sign(l.at, unpack.Launch, when+": "+string(kind)+" "+l.target(e, a))
		}
		a = l.f.dict(a.get("Next"))
	}
}

// script looks at JavaScript: a string or a stream.
func (l *looker) script(e *entry, o object) error {
	source := l.text(e, o)
	if s := l.f.find(o); s != nil {
		b, err := l.f.decode(s)
		if errors.Is(err, errInflate) {
			return l.w.Over(unpack.TooMuch, l.at)
		}
		source = decodeText(b)
	}
	source = strings.Join(strings.Fields(source), " ")
	l.w.Sign(l.at, unpack.Script, "JavaScript "+source[:min(len(source), 400)])
	for _, call := range []string{"exportDataObject", "launchURL", "getURL", "submitForm", "app.openDoc", "mailMsg", "util.printd", "eval(", "unescape(", "String.fromCharCode", "getAnnots", "syncAnnotScan", "SOAP.", "Collab."} {
		if strings.Contains(source, call) {
			l.w.Sign(l.at, unpack.Script, "calls "+strings.TrimRight(call, "(."))
		}
	}
	for rest := source; ; {
		i := strings.Index(rest, "http")
		if i < 0 {
			return nil
		}
		u := rest[i:]
		if end := strings.IndexAny(u, "\"'\\) ;<>"); end >= 0 {
			u = u[:end]
		}
		if strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://") {
			l.w.Link(l.at, unpack.Link{URI: u[:min(len(u), 2048)], Where: "document"})
		}
		rest = rest[i+4:]
	}
}

// xfa looks into a form of XML for scripts: an XFA form without one is a form.
func (l *looker) xfa(o object) error {
	for _, part := range l.f.list(o) {
		s := l.f.find(part)
		if s == nil {
			s = l.f.find(o)
		}
		if s == nil {
			continue
		}
		b, err := l.f.decode(s)
		if errors.Is(err, errInflate) {
			return l.w.Over(unpack.TooMuch, l.at)
		}
		if strings.Contains(string(b), "<script") {
			l.w.Sign(l.at, unpack.Script, "a script in an XFA form")
			return nil
		}
	}
	return nil
}

// spec enters the files of a file specification: 7.11.4.
func (l *looker) spec(e *entry, d *dict) error {
	var titles []string // which of them is shown is up to the reader
	for _, key := range []name{"UF", "F", "Unix", "DOS", "Mac", "Desc"} {
		if t := l.text(e, d.get(key)); t != "" && (key != "Desc" || len(titles) == 0) {
			titles = append(titles, t)
		}
	}
	for _, o := range l.f.dict(d.get("EF")).values {
		if r, ok := o.(ref); ok {
			if err := l.embedded(l.f.find(r), titles...); err != nil {
				return err
			}
		}
	}
	return nil
}

// files enters the embedded files that no specification names.
func (l *looker) files() error {
	for i := range l.f.entries {
		e := &l.f.entries[i]
		if d, ok := e.value.(*dict); ok && e.stream != nil && d.get("Type") == name("EmbeddedFile") {
			if err := l.embedded(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *looker) embedded(e *entry, titles ...string) error {
	if e == nil || l.entered[e] {
		return nil
	}
	l.entered[e] = true
	if l.specs++; l.specs > maxSpecs {
		return l.w.Over(unpack.TooManyEntries, l.at)
	}
	if len(titles) == 0 {
		titles = []string{"embedded " + strconv.Itoa(e.id.number)}
	}
	title := titles[0]
	l.w.Sign(l.at, unpack.Embedded, "a file: "+title)
	entry := unpack.Entry{Name: title, Names: titles, Size: -1, Packed: int64(len(e.stream))}
	r, err := l.f.reader(e)
	if err != nil {
		entry.Signs = append(entry.Signs, unpack.Sign{Kind: unpack.Broken, Text: err.Error()})
		return l.w.Enter(l.at, entry, nil)
	}
	return l.w.Enter(l.at, entry, r)
}
