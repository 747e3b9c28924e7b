package filters

import (
	"fmt"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/filetype"
)

// attachmentsType looks at what attachments are.
func attachmentsType() Definition {
	d := attachmentCheck("type", "Is there an attachment, or a file in one, of a type that is not taken: by its content, or by any extension that a client or Windows would act on?", gateway.ActionQuarantine, seeTypes)
	d.Measures = []Measure{
		{"type", "a group of types that is there, for rules: " + groupNames(), 0},
		{"extension", "an extension that is there, for rules", 0},
		{"mismatch", "a file whose content is something else than its name or its media type says", 1},
	}
	d.Options = &AttachmentTypeOptions{Deny: []string{"executable", "script", "shortcut", "help", "addin", "disk_image"}}
	return *d
}

// AttachmentTypeOptions are the options of checks.attachments.type.
type AttachmentTypeOptions struct {
	Deny       []string `toml:"deny" doc:"Groups of types that are not taken. gatepost unpack FILE shows the group of a file." example:"executable, script, shortcut, help, addin, disk_image, html"`
	Extensions []string `toml:"extensions" doc:"Extensions that are not taken beside those of the groups, without a dot." example:"one, ics"`
	Allow      []string `toml:"allow" doc:"Names (with * and ?) of files that are taken whatever they are. Anybody can give a file any name: name few." example:"smime.p7m, *.backup.iso"`
}

// Validate refuses groups that there are not.
func (o *AttachmentTypeOptions) Validate(report func(key, message, instead string)) {
	for i, g := range o.Deny {
		if !slices.Contains(filetype.Groups(), filetype.Group(g)) {
			instead := "write one of " + groupNames()
			if of := filetype.ByExtension(strings.ToLower(strings.TrimLeft(g, "*."))); of != "" {
				instead = fmt.Sprintf("as an extension it belongs in extensions; its group is %q", of)
			}
			report(fmt.Sprintf("deny[%d]", i), fmt.Sprintf("%q is no group of types", g), instead)
		}
	}
	for i, e := range o.Extensions {
		if e == "" || strings.ContainsAny(e, ".*?/ ") || e != strings.ToLower(e) {
			report(fmt.Sprintf("extensions[%d]", i), fmt.Sprintf("%q is no extension", e), fmt.Sprintf("write %q, in lower case and without a dot", plainExtension(e)))
		}
	}
	reportPatterns("allow", o.Allow, report)
}

// plainExtension is what somebody meant who wrote "*.EXE".
func plainExtension(e string) string {
	e = strings.ToLower(e[strings.LastIndexByte(e, '.')+1:])
	if e == "" || strings.ContainsAny(e, "*?/ ") {
		return "one"
	}
	return e
}

func groupNames() string {
	var names []string
	for _, g := range filetype.Groups() {
		names = append(names, string(g))
	}
	return strings.Join(names, ", ")
}

func seeTypes(options any, l *looking) {
	o := options.(*AttachmentTypeOptions)
	groups := filetype.Groups()
	for i := range l.files {
		a := &l.files[i]
		for _, g := range [...]filetype.Group{a.kind.Content, a.kind.Name.Group} {
			if g != filetype.None {
				l.measure("type", string(g))
			}
			if g != filetype.None && slices.Contains(o.Deny, string(g)) && !exempt(o.Allow, a) {
				l.fail(a, 1+slices.Index(groups, g), gateway.AttachmentType, string(g))
			}
		}
		for _, e := range a.kind.Name.Extensions {
			l.measure("extension", e)
			if slices.Contains(o.Extensions, e) && !exempt(o.Allow, a) {
				l.fail(a, 0, gateway.AttachmentType, e)
			}
		}
		if filetype.Differs(a.kind.Content, a.kind.Name.Group) || !a.inside && a.kind.Name.Group == filetype.None && filetype.Differs(a.kind.Content, a.said) {
			l.once(a, "mismatch", "content is "+a.kind.Type)
		}
	}
}
