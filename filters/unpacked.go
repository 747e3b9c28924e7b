package filters

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/filetype"
	"gatepost/internal/mime"
	"gatepost/internal/unpack"
)

// Unpacker has pieces of a message looked into by a process of their own. Its error is a *unpack.Failure: nothing is known then.
type Unpacker interface {
	// UnpackShowing also hands over the contents that other scanners may not see by themselves, if there are any; look is nil for none.
	UnpackShowing(ctx context.Context, pieces []unpack.Piece, look func(contents [][]byte)) (unpack.Report, error)
}

// factUnpacked and factAttached are the names of those facts.
const (
	factUnpacked = "unpacked"
	factAttached = "attached"
	factToOpen   = "to open"
)

// opened is what came of looking into a message: a report, or why there is none. Neither: there was nothing to look into.
type opened struct {
	report *unpack.Report
	err    error
	shown  *gateway.Finding // what ClamAV says of contents that it would not see by itself; nil: there are none
}

// toOpen are the parts of the message that hold something to look into. Most messages have none, and cost nothing more.
func toOpen(in *gateway.Input) []int {
	t := tree(in)
	if t == nil {
		return nil
	}
	if !holdsFiles(t) {
		return nil
	}
	return gateway.Fact(&in.Envelope.Facts, factToOpen, func() (out []int) {
		for i := range t.Parts {
			if p := &t.Parts[i]; p.Leaf && !shownText(p) && p.Octets > 0 && interesting(p) {
				out = append(out, i)
			}
		}
		return out
	})
}

// holdsFiles reports whether a message has more than texts that are shown.
func holdsFiles(t *mime.Tree) bool {
	for i := range t.Parts {
		if p := &t.Parts[i]; p.Leaf && !shownText(p) {
			return true
		}
	}
	return false
}

// shownText reports whether a part is a text that clients show, and no attachment.
func shownText(p *mime.Part) bool {
	return len(p.Names) == 0 && p.Disposition != "attachment" && (p.Type == "text/plain" || p.Type == "text/html" || p.Type == "text/enriched" || p.Type == "text/x-amp-html" || p.Type == "text/calendar")
}

// interesting reports whether something may be in the part: its content or a name of it says so, or nobody knows what it is.
func interesting(p *mime.Part) bool {
	f := filetype.Of(p.Head, p.Names...)
	if onlySmallPicture(p, &f) {
		return false
	}
	for _, g := range [...]filetype.Group{f.Content, f.Name.Group, filetype.ByType(p.Type)} {
		switch g {
		case filetype.Archive, filetype.Office, filetype.Macro, filetype.PDF, filetype.OneNote, filetype.HTML, filetype.SVG, filetype.DiskImage, filetype.Addin, filetype.Shortcut, filetype.Executable,
			filetype.Database:
			return true
		case filetype.Image, filetype.Mail: // there may be codes in it; Outlook's messages and winmail.dat
			return true
		}
	}
	return f.Content == filetype.None || opensAsTable(p, &f)
}

// opensAsTable reports whether a text is opened as a table, in which a formula may start a program.
func opensAsTable(p *mime.Part, f *filetype.File) bool {
	switch p.Type {
	case "text/csv", "text/x-csv", "text/x-comma-separated-values", "text/comma-separated-values", "text/tab-separated-values", "application/csv":
		return true
	}
	return slices.ContainsFunc(f.Name.Extensions, func(e string) bool { return e == "csv" || e == "tsv" || e == "tab" })
}

// onlySmallPicture reports whether a part is a picture, by content and by whatever else tells, in which no code has room and
// nothing else lies: a point that is loaded, a line, a small sign. Nobody has to look into it.
func onlySmallPicture(p *mime.Part, f *filetype.File) bool {
	picture := func(g filetype.Group) bool { return g == filetype.Image || g == filetype.None }
	return f.Content == filetype.Image && picture(f.Name.Group) && picture(filetype.ByType(p.Type)) &&
		!p.Doubt && int64(len(p.Head)) == p.Octets && filetype.OnlySmallPicture(p.Head)
}

// unpackedReady reports whether nobody has to wait for a process.
func unpackedReady(in *gateway.Input) bool {
	return len(toOpen(in)) == 0 || gateway.Known(&in.Envelope.Facts, factUnpacked)
}

// unpacked is what is in the attachments of a message, looked into once by a process of its own.
func (d *Deps) unpacked(ctx context.Context, in *gateway.Input) opened {
	parts := toOpen(in)
	if len(parts) == 0 {
		return opened{}
	}
	o := gateway.Fact(&in.Envelope.Facts, factUnpacked, func() *opened {
		t := tree(in)
		pieces := make([]unpack.Piece, 0, len(parts))
		for _, i := range parts {
			p := &t.Parts[i]
			pieces = append(pieces, unpack.Piece{Item: unpack.Item{Part: i, Name: p.Name(), Type: p.Type, Size: p.Octets}, Content: t.Open(i)})
		}
		o := &opened{}
		var look func([][]byte)
		if d.ClamAV != nil {
			look = func(contents [][]byte) { o.shown = d.scanShown(ctx, contents) }
		}
		r, err := d.Unpack.UnpackShowing(ctx, pieces, look)
		if err != nil {
			return &opened{err: err}
		}
		o.report = &r
		return o
	})
	if o == nil { // whoever asked first did not come to an end
		return opened{err: errors.New("nobody could tell")}
	}
	return *o
}

// notUnpacked is the finding where attachments could not be looked into: for a reason of ours, or for one of theirs.
func notUnpacked(err error) gateway.Finding {
	f, ok := errors.AsType[*unpack.Failure](err)
	if ok && !f.Ours() {
		return gateway.CouldNotTell(gateway.UnpackFailed).Show("error", gateway.CleanText(err.Error(), 300))
	}
	return gateway.CouldNotTell(gateway.ScannerFailed).Show("error", gateway.CleanText(err.Error(), 300))
}

// attachedFile is one file of a message: a part of it, or what is in one.
type attachedFile struct {
	part   int    // the part of the message that holds it
	inside bool   // it lies in another file
	path   string // for people: "invoice.zip > a > b.exe"
	name   string
	kind   filetype.File
	names  []string       // others by which some client shows it
	object *unpack.Object // what the process said of it; nil where it was not asked
	said   filetype.Group // of the media type that the part claims
}

// has reports whether the process saw something in it.
func (a *attachedFile) has(k unpack.Kind) bool {
	_, ok := a.sign(k)
	return ok
}

// sign returns the first sign of a kind.
func (a *attachedFile) sign(k unpack.Kind) (text string, ok bool) {
	if a.object == nil {
		return "", false
	}
	for _, s := range a.object.Signs {
		if s.Kind == k {
			return s.Text, true
		}
	}
	return "", false
}

// attached are all files of a message: its parts that are no shown text, and what was found in them.
func attached(in *gateway.Input, o opened) []attachedFile {
	t := tree(in)
	if t == nil {
		return nil
	}
	if !holdsFiles(t) {
		return nil
	}
	return gateway.Fact(&in.Envelope.Facts, factAttached, func() []attachedFile {
		var out []attachedFile
		for i := range t.Parts {
			p := &t.Parts[i]
			if !p.Leaf || shownText(p) {
				continue
			}
			a := attachedFile{part: i, name: p.Name(), names: p.Names, kind: filetype.Of(p.Head, p.Names...), said: filetype.ByType(p.Type)}
			if p.Octets == 0 {
				a.kind.Content = filetype.None
			}
			if a.path = gateway.CleanText(a.name, 150); a.path == "" {
				a.path = partName(t, i)
			}
			out = append(out, a)
		}
		if o.report != nil {
			out = withObjects(out, o.report)
		}
		return out
	})
}

// withObjects adds what the process found: of a part what all of its content tells, and what is in it.
func withObjects(out []attachedFile, r *unpack.Report) []attachedFile {
	paths := make([]string, len(r.Objects))
	for i := range r.Objects {
		o := &r.Objects[i]
		if o.Parent < 0 {
			for k := range out {
				if a := &out[k]; a.part == o.Part && !a.inside {
					a.object, a.kind.Type, a.kind.Content = o, o.Type, filetype.ByType(o.Type)
					a.kind.Group = filetype.Worse(a.kind.Content, a.kind.Name.Group)
					paths[i] = a.path
				}
			}
			continue
		}
		names := append([]string{o.Name}, o.Names...)
		a := attachedFile{part: o.Part, inside: true, name: o.Name, names: names, object: o, kind: filetype.Of(nil, names...)}
		a.kind.Type, a.kind.Content = o.Type, filetype.ByType(o.Type)
		if o.Folder {
			a.kind = filetype.File{}
		}
		a.kind.Group = filetype.Worse(a.kind.Content, a.kind.Name.Group)
		a.path = paths[o.Parent] + " > " + gateway.CleanText(o.Name, 150)
		for _, other := range o.Names {
			if !strings.EqualFold(path.Ext(other), path.Ext(o.Name)) {
				a.path += " (or " + gateway.CleanText(other, 100) + ")"
				break
			}
		}
		if len(a.path) > maxPath {
			a.path = "... " + strings.ToValidUTF8(a.path[len(a.path)-maxPath:], "")
		}
		paths[i] = a.path
		out = append(out, a)
	}
	return out
}

// maxPath is how long the path of a file in archives may be in evidence, in octets: its end matters.
const maxPath = 300
