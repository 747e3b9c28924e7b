package acme

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Kept reads what is kept of an entry below dir, and makes and changes nothing: the certificates that a Manager would show, and
// the keys that come next, or first. Of an entry that is new there is neither.
func Kept(dir string, e *Entry) (shown []*tls.Certificate, next []crypto.PublicKey, err error) {
	dir = filepath.Join(dir, e.folder())
	for _, t := range e.Keys.each() {
		for _, name := range [...]string{currentFile(dir, t), nextFile(dir, t)} {
			p, err := readPair(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, nil, fmt.Errorf("acme: %s: %w", e.Name(), err)
			}
			c, err := p.certificate()
			switch {
			case err == nil:
				shown = append(shown, c)
			case len(p.chain) > 0:
				return nil, nil, fmt.Errorf("acme: %s: %w", e.Name(), err)
			default:
				next = append(next, p.key.Public())
			}
		}
	}
	return shown, next, nil
}
