package filters

import (
	"strings"

	"gatepost/gateway"
	"gatepost/internal/filetype"
	"gatepost/internal/unpack"
)

// attachmentsMacro looks at what office documents do.
func attachmentsMacro() Definition {
	d := attachmentCheck("macro", "Does an office document run something: macros that run by themselves and do what no form does, a field that runs a program, a template that is fetched from elsewhere, an object that is known for its holes? Macros alone and objects cost points.", gateway.ActionQuarantine, seeMacros)
	d.Reasons[gateway.AttachmentAutoExec] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentRemote] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentMacro] = gateway.ActionScore
	d.Reasons[gateway.AttachmentEmbedded] = gateway.ActionScore
	d.Measures = []Measure{
		{"macro", "a document with macros", 2},
		{"autoexec", "macros that run when the document is opened or closed", 2},
		{"suspect", "macros that run programs, fetch or write files, or are disguised", 2},
		{"dde", "a field that runs a program", 0},
		{"equation", "an object of the equation editor, and others that are known for their holes", 0},
		{"remote", "content that is fetched when the document is opened, but for a template or an object", 1},
		{"embedded", "a file or an object in a document", 2},
	}
	return *d
}

// office reports whether a file is one that an office program opens.
func (a *attachedFile) office() bool {
	for _, g := range [...]filetype.Group{a.kind.Content, a.kind.Name.Group} {
		switch g {
		case filetype.Office, filetype.Macro, filetype.Addin, filetype.OneNote, filetype.Database:
			return true
		}
	}
	return false
}

// fetches are how the text of a sign begins where what is fetched runs, or is opened by another program.
var fetches = [...]string{"attachedtemplate", "template", "oleobject", "frame", "a linked object", "subdocument", "altchunk"}

func seeMacros(_ any, l *looking) {
	for i := range l.files {
		a := &l.files[i]
		if a.object == nil || len(a.object.Signs) == 0 {
			continue
		}
		macro, has := a.sign(unpack.Macro)
		auto, runs := a.sign(unpack.AutoExec)
		does, bad := a.sign(unpack.MacroSuspect)
		if has || runs {
			l.once(a, "macro", macro)
			l.fail(a, 2, gateway.AttachmentMacro, macro)
		}
		if runs {
			l.once(a, "autoexec", auto)
		}
		if bad && a.office() {
			l.once(a, "suspect", does)
			l.blame(a)
		}
		if runs && bad {
			l.fail(a, 5, gateway.AttachmentAutoExec, auto+", "+does)
		}
		for _, kind := range [...]unpack.Kind{unpack.DDE, unpack.Equation} {
			if what, ok := a.sign(kind); ok {
				l.once(a, string(kind), what)
				l.fail(a, 4, gateway.AttachmentAutoExec, what)
			}
		}
		if !a.office() {
			continue
		}
		for _, s := range a.object.Signs {
			switch {
			case s.Kind == unpack.Embedded && !strings.HasPrefix(s.Text, "a document"):
				l.once(a, "embedded", s.Text)
				l.fail(a, 1, gateway.AttachmentEmbedded, s.Text)
			case s.Kind == unpack.RemoteContent && runsWhatItFetches(s.Text):
				l.fail(a, 3, gateway.AttachmentRemote, s.Text)
			case s.Kind == unpack.RemoteContent:
				l.once(a, "remote", s.Text)
				l.blame(a)
			}
		}
	}
}

func runsWhatItFetches(text string) bool {
	text = strings.ToLower(text)
	for _, f := range fetches {
		if strings.HasPrefix(text, f) {
			return true
		}
	}
	return false
}
