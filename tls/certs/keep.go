package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/internal/durable"
)

// stamp tells one state of two files from another: a rename changes the file, a write its time.
type stamp [2]struct {
	device, file   uint64
	size           int64
	changed, wrote int64
}

// stampOf looks at the files of a pair, where links lead. One that is not there has none.
func stampOf(p Pair) (s stamp) {
	for i, name := range [...]string{p.Certificate, p.Key} {
		var st unix.Stat_t
		if unix.Stat(name, &st) == nil {
			s[i].device, s[i].file, s[i].size = uint64(st.Dev), uint64(st.Ino), st.Size
			s[i].changed, s[i].wrote = st.Ctim.Nano(), st.Mtim.Nano()
		}
	}
	return s
}

// kept is the file that holds a pair which is still shown while its files hold another.
func (f *Files) kept(p Pair) string {
	sum := sha256.Sum256([]byte(p.Certificate))
	return filepath.Join(f.Keep, "shown-"+hex.EncodeToString(sum[:8])+".pem")
}

// remember writes the pair that is shown, so that a restart goes on showing it: key and chain in one file.
func (f *Files) remember(n *file) error {
	if f.Keep == "" {
		return nil
	}
	key, err := x509.MarshalPKCS8PrivateKey(n.Shown.PrivateKey)
	if err != nil {
		return fmt.Errorf("the old pair cannot be kept for a restart: %w", err)
	}
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: key}) // a buffer takes everything
	for _, der := range n.Shown.Certificate {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	if err := durable.WriteFile(f.kept(n.Pair), text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("the old pair cannot be kept for a restart: %w", err)
	}
	return nil
}

// Remember keeps each pair that is shown and wanted, as if its files held another one: whoever finds other files at his start
// shows it until their key may be shown. One that is not wanted any more is not kept without need.
func (f *Files) Remember(wanted func(leaf *x509.Certificate) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.files {
		switch want := wanted(n.Shown.Leaf); {
		case n.Next != nil: // it is kept as long as that is so
		case want && n.kept != n.Shown:
			if f.remember(n) == nil {
				n.kept = n.Shown
			}
		case !want && n.kept != nil:
			f.forget(n.Pair)
			n.kept = nil
		}
	}
}

// recall returns the pair that was shown when the process before ended, if its files held another one then; nil without.
func (f *Files) recall(p Pair, now time.Time) *tls.Certificate {
	if f.Keep == "" {
		return nil
	}
	name := f.kept(p)
	c, _, err := Pair{name, name}.Read()
	if err != nil || Dates(c.Leaf, now) != "" {
		return nil
	}
	return c
}

// sweep removes what was kept of pairs that are not named any more, and what a crash left half written: each is a private key.
func (f *Files) sweep() {
	if f.Keep == "" {
		return
	}
	all, _ := filepath.Glob(filepath.Join(f.Keep, "shown-*")) // the pattern is good
	for _, name := range all {
		if !slices.ContainsFunc(f.Pairs, func(p Pair) bool { return f.kept(p) == name }) {
			_ = os.Remove(name) // one that stays is tried again at the next start
		}
	}
}

// forget removes what remember wrote.
func (f *Files) forget(p Pair) {
	if f.Keep == "" {
		return
	}
	_ = os.Remove(f.kept(p)) // if it stays, it is shown once more after a restart, until its successor may be
}
