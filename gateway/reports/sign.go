package reports

import (
	"bytes"
	"crypto"
	"slices"

	"github.com/emersion/go-msgauth/dkim"
)

// Signer returns a function that puts a DKIM signature (RFC 6376) in front of a mail. From and Subject are signed once more
// than they are there, so that nobody can add another.
func Signer(domain, selector string, key crypto.Signer) func(mail []byte) ([]byte, error) {
	keys := []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted", "From", "Subject"}
	return func(mail []byte) ([]byte, error) {
		options := &dkim.SignOptions{Domain: domain, Selector: selector, Signer: key, Hash: crypto.SHA256,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed, HeaderKeys: keys}
		if bytes.Contains(mail, []byte("\r\nTLS-Report-Domain:")) {
			options.HeaderKeys = slices.Concat(keys, []string{"TLS-Report-Domain", "TLS-Report-Submitter", "TLS-Required"})
		}
		var out bytes.Buffer
		if err := dkim.Sign(&out, bytes.NewReader(mail), options); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}
}
