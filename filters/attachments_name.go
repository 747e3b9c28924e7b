package filters

import (
	"gatepost/gateway"
)

// attachmentsName looks at what attachments are called.
func attachmentsName() Definition {
	d := attachmentCheck("name", "Does the name of an attachment, or of a file in one, disguise what it is: text that is turned around, a double extension, a run of blanks, an alternate stream? Or is it one that is not taken?", gateway.ActionQuarantine, seeNames)
	d.Measures = []Measure{{"trick", "a trick in a name", 0}}
	d.Options = &AttachmentNameOptions{}
	return *d
}

// AttachmentNameOptions are the options of checks.attachments.name.
type AttachmentNameOptions struct {
	Deny  []string `toml:"deny" doc:"Names (with * and ?) that are not taken, of attachments and of files in them." example:"*.pdf.htm, invoice*.one"`
	Allow []string `toml:"allow" doc:"Names (with * and ?) in which no trick is looked for." example:"report.xlsx.html"`
}

// Validate refuses patterns that cannot be read.
func (o *AttachmentNameOptions) Validate(report func(key, message, instead string)) {
	reportPatterns("deny", o.Deny, report)
	reportPatterns("allow", o.Allow, report)
}

func seeNames(options any, l *looking) {
	o := options.(*AttachmentNameOptions)
	for i := range l.files {
		a := &l.files[i]
		if denied(o.Deny, a) {
			l.fail(a, 1, gateway.AttachmentName, "a name that is not taken")
		}
		if len(a.kind.Name.Tricks) == 0 || exempt(o.Allow, a) {
			continue
		}
		for _, trick := range a.kind.Name.Tricks {
			l.measure("trick", string(trick))
			l.fail(a, 2, gateway.AttachmentName, string(trick))
		}
	}
}
