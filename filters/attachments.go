package filters

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/filetype"
)

// attachmentCheck describes one of the checks of attachments, which look at the same files for different things.
func attachmentCheck(name, doc string, action gateway.Action, see func(options any, l *looking)) *Definition {
	return &Definition{
		Name: "attachments." + name, Stage: gateway.Data, Class: gateway.ClassContent, Parts: true, Doc: doc,
		Action: action, Unknown: gateway.ActionDefer,
		Reasons: map[gateway.Reason]gateway.Action{gateway.UnpackFailed: gateway.ActionQuarantine},
		Build: func(options any, d *Deps) (Built, error) {
			if d.Unpack == nil {
				return Built{}, errors.New("needs the process that looks into attachments")
			}
			return Built{Ready: unpackedReady, Run: func(ctx context.Context, in *gateway.Input) gateway.Finding {
				if tree(in) == nil {
					return gateway.CouldNotTell(gateway.ScannerFailed).Show("message", "it cannot be read")
				}
				o := d.unpacked(ctx, in)
				l := looking{files: attached(in, o), opened: o}
				if len(l.files) == 0 {
					return gateway.Passed()
				}
				see(options, &l)
				return l.finding()
			}}, nil
		},
	}
}

// looking is what one check sees in the files of a message.
type looking struct {
	files  []attachedFile
	opened opened

	failed   gateway.Finding // the worst that fails
	rank     int
	parts    []int
	measures []gateway.Measure
	shown    []gateway.Evidence
}

// Bounds of what one finding tells of a message with thousands of files.
const (
	maxMeasures   = 40
	maxFilesShown = 12
)

// fail notes a file that fails. Of several reasons that of the higher rank is told.
func (l *looking) fail(a *attachedFile, rank int, reason gateway.Reason, what string) {
	if l.failed.Result != gateway.Fail || rank > l.rank {
		l.failed, l.rank = gateway.Failed(reason, last(a), gateway.CleanText(what, 100)), rank
	}
	if !slices.Contains(l.parts, a.part) {
		l.parts = append(l.parts, a.part)
	}
	l.show(string(reason), a.path+": "+what)
}

// last is the name of a file for its sender, who knows where it lies.
func last(a *attachedFile) string {
	if a.name != "" {
		return gateway.CleanText(path.Base(strings.ReplaceAll(a.name, `\`, "/")), 100)
	}
	return a.path
}

// measure notes a measure once for each text.
func (l *looking) measure(name, text string) {
	m := gateway.Measure{Name: name, Value: 1, Text: gateway.CleanText(text, 100)}
	if len(l.measures) < maxMeasures && !slices.Contains(l.measures, m) {
		l.measures = append(l.measures, m)
	}
}

// once notes a measure that counts once for a message, with the first text.
func (l *looking) once(a *attachedFile, name, text string) {
	l.show(name, a.path+": "+text)
	if slices.ContainsFunc(l.measures, func(m gateway.Measure) bool { return m.Name == name }) {
		return
	}
	l.measures = append(l.measures, gateway.Measure{Name: name, Value: 1, Text: gateway.CleanText(text, 100)})
}

// blame has a file be one that the finding is about, for strip, though it does not fail.
func (l *looking) blame(a *attachedFile) {
	if !slices.Contains(l.parts, a.part) {
		l.parts = append(l.parts, a.part)
	}
}

func (l *looking) show(name, text string) {
	if len(l.shown) < maxFilesShown {
		l.shown = append(l.shown, gateway.Evidence{Name: name, Text: gateway.CleanText(text, 500)})
	}
}

// finding is what was seen. What failed stands although not everything could be looked into.
func (l *looking) finding() gateway.Finding {
	f := gateway.Passed()
	switch {
	case l.failed.Result == gateway.Fail:
		f = l.failed
	case l.opened.err != nil:
		f = notUnpacked(l.opened.err)
	}
	f.Parts = l.parts
	f.Measures = append(f.Measures, l.measures...)
	f.Evidence = append(f.Evidence, l.shown...)
	return f
}

// exempt reports whether the patterns name the file, by each name that it has.
func exempt(patterns []string, a *attachedFile) bool {
	if len(patterns) == 0 {
		return false
	}
	for _, name := range a.names {
		if !nameIn(patterns, name) {
			return false
		}
	}
	return len(a.names) > 0
}

// denied reports whether the patterns name the file, by any name that it has.
func denied(patterns []string, a *attachedFile) bool {
	return len(patterns) > 0 && slices.ContainsFunc(a.names, func(name string) bool { return nameIn(patterns, name) })
}

// nameIn reports whether one of the patterns is of a name, or of its last part.
func nameIn(patterns []string, name string) bool {
	for _, p := range patterns {
		for _, name := range [...]string{name, path.Base(strings.ReplaceAll(name, `\`, "/"))} {
			if ok, err := path.Match(strings.ToLower(p), strings.ToLower(strings.ReplaceAll(name, "/", "\x00"))); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// packed reports whether a file holds others, so that what could not be opened of it may be anything.
func packed(g filetype.Group) bool {
	switch g {
	case filetype.Archive, filetype.DiskImage, filetype.Office, filetype.Macro, filetype.Addin, filetype.OneNote, filetype.Executable, filetype.Mail:
		return true
	}
	return false
}
