package filters

import (
	"strings"

	"gatepost/gateway"
	"gatepost/internal/filetype"
	"gatepost/internal/unpack"
)

// attachmentsActive looks at what pages and PDF files do.
func attachmentsActive() Definition {
	d := attachmentCheck("active", "Does an attached page put a file together by itself or ask for a password, or a PDF start a program or lead elsewhere by itself? Script in pages, pictures and PDF files costs points.", gateway.ActionQuarantine, seeActive)
	d.Reasons[gateway.AttachmentForm] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentSmuggling] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentLaunch] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentScript] = gateway.ActionScore
	d.Measures = []Measure{
		{"script", "script in an attached page or SVG picture", 3},
		{"pdf_script", "JavaScript in a PDF", 1.5},
		{"pdf_form", "a PDF that sends its form elsewhere", 0.5},
		{"form", "an attached page with a form that is sent elsewhere", 1.5},
		{"shortcut", "a shortcut; its text is what it runs", 0},
	}
	return *d
}

func seeActive(_ any, l *looking) {
	for i := range l.files {
		a := &l.files[i]
		if a.object == nil {
			continue
		}
		pdf := a.kind.Content == filetype.PDF
		for _, s := range a.object.Signs {
			switch {
			case s.Kind == unpack.Script && pdf:
				l.once(a, "pdf_script", s.Text)
				l.fail(a, 1, gateway.AttachmentScript, s.Text)
			case s.Kind == unpack.Script:
				l.once(a, "script", s.Text)
				l.fail(a, 1, gateway.AttachmentScript, s.Text)
			case s.Kind == unpack.Smuggling:
				l.fail(a, 4, gateway.AttachmentSmuggling, s.Text)
			case s.Kind == unpack.Form && strings.HasPrefix(s.Text, "is sent to"):
				l.once(a, "form", s.Text)
				l.blame(a)
			case s.Kind == unpack.Form:
				l.fail(a, 3, gateway.AttachmentForm, s.Text)
			case s.Kind == unpack.Launch && (strings.HasPrefix(s.Text, "SubmitForm") || strings.HasPrefix(s.Text, "ImportData")):
				l.once(a, "pdf_form", s.Text) // by a click
			case s.Kind == unpack.Launch:
				l.fail(a, 2, gateway.AttachmentLaunch, s.Text)
			case s.Kind == unpack.Shortcut:
				l.measure("shortcut", s.Text)
			}
		}
	}
}
