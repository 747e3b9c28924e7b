package filters

import (
	"gatepost/gateway"
	"gatepost/internal/filetype"
	"gatepost/internal/unpack"
)

// attachmentsEncrypted looks for what nobody here can look into.
func attachmentsEncrypted() Definition {
	d := attachmentCheck("encrypted", "Is there an archive or an office document that asks for a password, so that nobody here can look into it? A PDF that does costs points; one that opens without a password and forbids changes costs nothing.", gateway.ActionQuarantine, seeEncrypted)
	d.Measures = []Measure{
		{"pdf", "a PDF that asks for a password", 1},
		{"known_password", "a document that is encrypted with a password that everybody knows, which only hides it from scanners", 2},
		{"owner_password", "a PDF that forbids printing or changes", 0},
	}
	d.Options = &AttachmentEncryptedOptions{}
	return *d
}

// AttachmentEncryptedOptions are the options of checks.attachments.encrypted.
type AttachmentEncryptedOptions struct {
	Allow []string `toml:"allow" doc:"Names (with * and ?) of attachments that may be encrypted. Anybody can give a file any name: name few." example:"payroll-*.zip"`
}

// Validate refuses patterns that cannot be read.
func (o *AttachmentEncryptedOptions) Validate(report func(key, message, instead string)) {
	reportPatterns("allow", o.Allow, report)
}

func seeEncrypted(options any, l *looking) {
	o := options.(*AttachmentEncryptedOptions)
	allowed := map[int]bool{}
	for i := range l.files {
		a := &l.files[i]
		if !a.inside && exempt(o.Allow, a) {
			allowed[a.part] = true
		}
		if allowed[a.part] {
			continue
		}
		if what, ok := a.sign(unpack.Encrypted); ok {
			if a.kind.Content == filetype.PDF {
				l.once(a, "pdf", what)
				l.blame(a)
			} else {
				l.fail(a, 0, gateway.AttachmentEncrypted, what)
			}
		}
		if what, ok := a.sign(unpack.OpenPassword); ok {
			l.once(a, "known_password", what)
			l.blame(a)
		}
		if a.has(unpack.OwnerPassword) {
			l.measure("owner_password", "")
		}
	}
}
