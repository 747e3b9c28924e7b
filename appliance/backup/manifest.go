package backup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// What is wrong with a file.
var (
	ErrKey      = errors.New("backup: this key or passphrase does not open it")
	ErrNoBackup = errors.New("backup: it is no backup, or it was changed or cut off")
	ErrNewer    = errors.New("backup: it was made by a later version")
	ErrBusy     = errors.New("backup: another one is being made now; try again when it is done")
)

// form is of the archive. One that is higher is not read.
const form = 1

// Names and bounds of the archive.
const (
	headName     = "gatepost-backup.json"
	manifestName = "manifest.json"
	inState      = "state/"
	inConfig     = "config/"
	inFiles      = "files/"

	maxHead     = 64 << 10
	maxManifest = 256 << 20
	maxMembers  = 1 << 20
	maxName     = 1024
)

// Head says what a backup is of.
type Head struct {
	Form    int       `json:"form"`
	Version string    `json:"version"` // of the program
	Host    string    `json:"host"`
	Time    time.Time `json:"time"` // when it was begun, UTC
}

// Member is one file.
type Member struct {
	Name   string      `json:"name"` // state/admin.db
	Size   int64       `json:"size"` // octets
	Mode   fs.FileMode `json:"mode"` // of the file, the permission bits
	SHA256 string      `json:"sha256"`
	Schema []int       `json:"schema,omitempty"` // the migrations of a database
}

// Manifest is what a backup has, and what it has not.
type Manifest struct {
	Head
	With    []string `json:"with,omitempty"` // of what is in it by choice: log, quarantine
	Members []Member `json:"members"`
	// Left is what is not in it, one text each with its reason: stores that are elsewhere, files that could not be read.
	Left []string `json:"left,omitempty"`
}

// Octets are all members together.
func (m *Manifest) Octets() (n int64) {
	for i := range m.Members {
		n += m.Members[i].Size
	}
	return n
}

// check refuses what we would not have written.
func (m *Manifest) check() error {
	if m.Form > form {
		return fmt.Errorf("%w: %s", ErrNewer, text(m.Version))
	}
	if len(m.Members) > maxMembers {
		return fmt.Errorf("%w: more than %d files", ErrNoBackup, maxMembers)
	}
	seen := make(map[string]bool, len(m.Members))
	for i := range m.Members {
		x := &m.Members[i]
		sum, err := hex.DecodeString(x.SHA256)
		if seen[x.Name] || !fit(x.Name) || x.Size < 0 || err != nil || len(sum) != 32 {
			return fmt.Errorf("%w: its manifest says of %q what cannot be", ErrNoBackup, text(x.Name))
		}
		seen[x.Name] = true
	}
	return nil
}

// fit reports whether a name is one that a member may have: below one of our folders, and nowhere else.
func fit(name string) bool {
	if len(name) > maxName || path.Clean("/"+name) != "/"+name || strings.ContainsRune(name, 0) {
		return false
	}
	for _, in := range [...]string{inState, inConfig, inFiles} {
		if rest, ok := strings.CutPrefix(name, in); ok && rest != "" {
			return in != inState || !keptAside(strings.SplitN(rest, "/", 2)[0])
		}
	}
	return false
}

// read fills a head or a manifest from JSON.
func read(data []byte, into any) error {
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	return nil
}

// text makes what stands in a file fit to be shown.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 200)]
}
