// Package reset brings an appliance back to how it was delivered, but for what shall stay. It is asked for while everything runs, and done at the
// next boot, before anything that is erased is in use: a file in the state folder says so until it is done, so that a cut of power in between
// only makes it be done again.
//
// Names are removed, and nothing is overwritten: on flash, and on a file system with a journal, that would not reach what was written before. The package
// knows folders, and nothing of what is in them.
package reset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatepost/internal/durable"
)

// What may stay.
const (
	KeepLog        = "log"        // the message log
	KeepQuarantine = "quarantine" // mail in quarantine, and the keys that read it
	KeepSettings   = "settings"   // gatepost.toml and what the appliance is set to, the network included
)

// Choices are all of them.
func Choices() []string { return []string{KeepLog, KeepQuarantine, KeepSettings} }

// Words must be typed by whoever wants it. The console of a damaged appliance asks for the same (appliance/image/init).
const Words = "erase everything"

// markerName is the file in the state folder that says that a reset is to be done.
const markerName = "reset.json"

// maxMarker bounds it, in octets.
const maxMarker = 4096

// Request is what was asked for.
type Request struct {
	Keep []string  `json:"keep"` // of Choices
	By   string    `json:"by"`   // who asked, for the journal
	At   time.Time `json:"at"`
}

// Ask has a reset done at the next boot. The error is that it cannot be asked for: then nothing will be erased.
func Ask(state string, r Request) error {
	for _, k := range r.Keep {
		if !slices.Contains(Choices(), k) {
			return fmt.Errorf("reset: %q cannot be kept: it can be %s", k, strings.Join(Choices(), ", "))
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(data) >= maxMarker {
		return errors.New("reset: the name of who asks is too long")
	}
	if err := durable.WriteFile(filepath.Join(state, markerName), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("reset: %w", errors.Join(err, Withdraw(state)))
	}
	return nil
}

// Withdraw takes a request back that was not done.
func Withdraw(state string) error {
	if err := durable.Remove(durable.Real{}, filepath.Join(state, markerName)); err != nil {
		return err
	}
	return durable.SyncFolder(state)
}

// Asked returns what was asked for; nil: nothing was.
func Asked(state string) (*Request, error) {
	f, err := os.OpenFile(filepath.Join(state, markerName), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reset: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxMarker))
	r := new(Request)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		err = d.Decode(r)
	}
	for _, k := range r.Keep {
		if err == nil && !slices.Contains(Choices(), k) {
			err = fmt.Errorf("%.20q is nothing that can be kept", k)
		}
	}
	if err != nil { // to erase all then could be what nobody wanted
		return nil, fmt.Errorf("reset: %s cannot be used, and nothing is erased: %w", f.Name(), err)
	}
	return r, nil
}

// Machine is where things are.
type Machine struct {
	State string // the state folder, which belongs to the daemon's user
	// Else are other folders that are emptied. What is not there is passed over.
	Else []string
	// OfSettings are those that are emptied only if the settings do not stay: settings that lie elsewhere.
	OfSettings []string

	step func(string) // before each step; nil: nobody is told
}

// Do does what was asked for, all of it or again. It reports what that was; nil: nothing was asked for. It follows no link.
func (m *Machine) Do() (*Request, error) {
	r, err := Asked(m.State)
	if r == nil || err != nil {
		return nil, err
	}
	if m.step == nil {
		m.step = func(string) {}
	}
	kept := append(stays(r.Keep), markerName)
	if err := m.empty(m.State, func(name string) bool { return slices.Contains(kept, name) }); err != nil {
		return r, err
	}
	if slices.Contains(r.Keep, KeepQuarantine) {
		if err := m.empty(filepath.Join(m.State, "keys"), func(name string) bool { return name == vaultKey }); err != nil {
			return r, err
		}
	}
	folders := m.Else
	if !slices.Contains(r.Keep, KeepSettings) {
		folders = slices.Concat(folders, m.OfSettings)
	}
	for _, dir := range folders {
		if err := m.empty(dir, func(string) bool { return false }); err != nil {
			return r, err
		}
	}
	if err := durable.SyncAll(m.State); err != nil {
		return r, fmt.Errorf("reset: %w", err)
	}
	m.step("done")
	if err := Withdraw(m.State); err != nil {
		return r, fmt.Errorf("reset: %w", err)
	}
	return r, nil
}

// vaultKey is the file with the keys of the quarantine, in the folder of keys.
const vaultKey = "vault.key"

// stays are the names in the state folder that stay.
func stays(keep []string) (out []string) {
	for _, k := range keep {
		switch k {
		case KeepLog:
			out = append(out, "log")
		case KeepQuarantine:
			out = append(out, "vault", "keys")
		case KeepSettings:
			out = append(out, "settings")
		}
	}
	return out
}

// empty removes what is in a folder, but for names that stay. A folder that is not there is empty.
func (m *Machine) empty(dir string, keep func(name string) bool) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	defer root.Close()
	f, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		if keep(name) {
			continue
		}
		m.step(filepath.Base(dir) + "/" + name)
		if err := root.RemoveAll(name); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
	}
	return nil
}
