package filters

import (
	"gatepost/gateway"
	"gatepost/internal/unpack"
)

// attachmentsArchive looks at how archives are made.
func attachmentsArchive() Definition {
	d := attachmentCheck("archive", "Could all attachments be looked into, within the limits of [unpack] in gatepost.toml? Is an archive broken, or made to deceive: one that unpacks to too much, that is nested too deeply, or that would write outside of its folder?", gateway.ActionQuarantine, seeArchives)
	d.Reasons[gateway.AttachmentLimits] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentPath] = gateway.ActionQuarantine
	d.Reasons[gateway.AttachmentBroken] = gateway.ActionScore
	d.Measures = []Measure{
		{"limit", "a limit that was met: entries, depth, octets, ratio, time, memory, or object for a single file that is too big", 0},
		{"broken", "an archive that cannot be read as what it is", 2},
		{"unreadable", "a document or a picture that cannot be read as what it is", 0.5},
		{"name_twice", "two files of one name in an archive, or a name that two readers read differently", 1},
		{"unshown", "a file in an archive that ClamAV does not open, too big to be shown to it otherwise", 2},
		{"trailing", "another file before or behind the one that it says to be", 1},
	}
	return *d
}

func seeArchives(_ any, l *looking) {
	if r := l.opened.report; r != nil && r.Limit != "" {
		l.measure("limit", string(r.Limit))
		a := whereEnded(l.files, r)
		l.fail(a, 3, gateway.AttachmentLimits, string(r.Limit))
	}
	for i := range l.files {
		a := &l.files[i]
		if what, ok := a.sign(unpack.PathTrick); ok {
			l.fail(a, 2, gateway.AttachmentPath, what)
		}
		if a.has(unpack.Unread) && packed(a.kind.Group) {
			l.measure("limit", "object")
			l.fail(a, 3, gateway.AttachmentLimits, "object")
		}
		if what, ok := a.sign(unpack.Broken); ok {
			if packed(a.kind.Content) || a.inside && a.kind.Content == "" {
				l.fail(a, 1, gateway.AttachmentBroken, what)
				l.once(a, "broken", what)
			} else {
				l.once(a, "unreadable", what)
			}
		}
		if what, ok := a.sign(unpack.NameTwice); ok {
			l.once(a, "name_twice", what)
		}
		if a.has(unpack.Unshown) {
			l.once(a, "unshown", "not scanned")
		}
		if what, ok := a.sign(unpack.Trailing); ok {
			l.once(a, "trailing", what)
		}
	}
}

// whereEnded is the file at which a limit ended the walk: the last that was looked at.
func whereEnded(files []attachedFile, r *unpack.Report) *attachedFile {
	for i := len(files) - 1; i >= 0; i-- {
		if files[i].object != nil && (files[i].inside || i == 0 || r.At == "") {
			return &files[i]
		}
	}
	return &files[0]
}
