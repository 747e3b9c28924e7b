package reports

import (
	"bytes"
	"crypto"

	"github.com/emersion/go-msgauth/dkim"
)

// Signer returns a function that puts a DKIM signature (RFC 6376) in front of a mail. From and Subject are signed once more
// than they are there, so that nobody can add another.
func Signer(domain, selector string, key crypto.Signer) func(mail []byte) ([]byte, error) {
	options := &dkim.SignOptions{Domain: domain, Selector: selector, Signer: key, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted", "From", "Subject"}}
	return func(mail []byte) ([]byte, error) {
		var out bytes.Buffer
		if err := dkim.Sign(&out, bytes.NewReader(mail), options); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}
}
