// Package settings keeps gatepost.toml of an appliance, and the files that it names, in a folder of the daemon's on the data partition. Other
// settings are tried for one boot: what nobody confirms meanwhile is not in force at the next, so that no text locks its author out.
//
// Power may be cut at any step: then the old text is in force or the new one, whole, and a text on trial is at most once. The package never reads what a
// text says, and restarts nothing. No RFC applies here.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gatepost/internal/durable"
)

// MaxText is how large gatepost.toml may be, in octets.
const MaxText = 256 << 10

// Folder is where settings lie on an appliance, Shown where they are shown to all who read them, and Image the text of the verified root.
const (
	Folder = "/var/lib/gatepost/settings"
	Shown  = "/run/gatepost-config"
	Image  = "/usr/share/gatepost/image/gatepost.toml"
)

// Names of files. The last is in the folder that the next boot does not have.
const (
	textName   = "gatepost.toml"
	trialName  = "trial.toml" // will be tried by the next boot
	triedName  = "tried.toml" // was tried by this boot, or by one before
	markerName = "trial"      // this boot tries
	beforeName = "before"     // what comes back behind it
)

// remembered is how long a trial that is over is told.
const remembered = 24 * time.Hour

// ErrNoTrial says that there is nothing to confirm.
var ErrNoTrial = errors.New("no settings are on trial: they were over, or were confirmed")

// Machine is where the settings of an appliance are.
type Machine struct {
	Folder string // Folder, of the daemon's user
	Shown  string // Shown, which is empty at each boot
	Image  string // Image

	disk durable.Disk // nil: the real one
}

// Here is this machine.
func Here() *Machine { return &Machine{Folder: Folder, Shown: Shown, Image: Image} }

// Trials are the files below a state folder that belong to one boot, and to no backup and no version.
func Trials(state string) []string {
	dir := filepath.Join(state, filepath.Base(Folder))
	return []string{filepath.Join(dir, trialName), filepath.Join(dir, triedName)}
}

func (m *Machine) os() durable.Disk {
	if m.disk == nil {
		return durable.Real{}
	}
	return m.disk
}

func (m *Machine) at(name string) string { return filepath.Join(m.Folder, name) }

// Boot shows the settings of this boot, before anybody reads them: a text that is to be tried, which no later boot tries again, else what was confirmed
// last, else the text of the image. trial is why a text was not tried although it should be; err says that nothing is shown.
func (m *Machine) Boot() (tried bool, trial, err error) {
	marker := filepath.Join(m.Shown, markerName)
	text, trial := m.take()
	if tried = text != nil; tried {
		// The mark is there before the text, so that no trial goes unseen.
		if trial = show(marker, nil); trial != nil {
			text, tried = nil, false
		}
	}
	before, failed := m.confirmed()
	if tried {
		if failed == nil { // else there is nothing to come back
			trial = show(filepath.Join(m.Shown, beforeName), before)
		}
		return true, trial, show(filepath.Join(m.Shown, textName), text)
	}
	if err := errors.Join(failed, durable.Remove(durable.Real{}, marker)); err != nil {
		return false, trial, err
	}
	return false, trial, show(filepath.Join(m.Shown, textName), before)
}

// show puts a file in place at once, for others to read: secrets are in files of their own. No boot finds what the one before was shown, so that nothing
// is flushed.
func show(name string, text []byte) error {
	if err := errors.Join(os.WriteFile(name+durable.Half, text, 0o644), os.Chmod(name+durable.Half, 0o644)); err != nil {
		return err
	}
	return os.Rename(name+durable.Half, name)
}

// take makes the text that is to be tried one that was. It is nil where there is none, and where the disk did not take that: else it would be tried
// at each boot.
func (m *Machine) take() ([]byte, error) {
	text, err := read(m.at(trialName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if moved := m.move(trialName, triedName); moved != nil {
		return nil, moved
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// Before is the text that comes back behind the trial of this boot.
func (m *Machine) Before() ([]byte, error) { return read(filepath.Join(m.Shown, beforeName)) }

// confirmed is the text that is in force without a trial.
func (m *Machine) confirmed() ([]byte, error) {
	text, err := read(m.at(textName))
	if errors.Is(err, fs.ErrNotExist) {
		return read(m.Image)
	}
	return text, err
}

// read reads a text. It follows no link in the last part of a name, and waits for no pipe.
func read(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no plain file", name))
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxText+1))
	if len(text) > MaxText {
		err = fmt.Errorf("%s has more than %d octets", name, MaxText)
	}
	if text == nil {
		text = []byte{}
	}
	return text, err
}

// move renames a file of the folder for good.
func (m *Machine) move(from, to string) error {
	if err := m.os().Rename(m.at(from), m.at(to)); err != nil {
		return err
	}
	return m.os().SyncDir(m.Folder)
}

// put writes a file in one of our folders, so that it is whole, old or new. Only one is written at a time.
func (m *Machine) put(dir, name string, text []byte) error {
	half := filepath.Join(dir, ".put"+durable.Half)
	if err := durable.Remove(m.os(), half); err != nil {
		return err
	}
	f, err := m.os().Create(half)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, durable.Remove(m.os(), half))
	}
	if err := m.os().Rename(half, filepath.Join(dir, name)); err != nil {
		return err
	}
	return m.os().SyncDir(dir)
}

// Try has the next boot try a text, in place of another that it was to try. Whoever calls it restarts the machine.
func (m *Machine) Try(text []byte) error {
	if len(text) > MaxText {
		return fmt.Errorf("the settings have %d octets; at most %d are taken", len(text), MaxText)
	}
	if err := m.folder(m.Folder); err != nil {
		return err
	}
	return m.put(m.Folder, trialName, text)
}

// folder makes a folder that is not there, for good.
func (m *Machine) folder(name string) error {
	if err := m.os().Mkdir(name); err != nil {
		return err
	}
	return m.os().SyncDir(filepath.Dir(name))
}

// Withdraw takes back what Try did, where the machine does not restart.
func (m *Machine) Withdraw() error {
	if err := durable.Remove(m.os(), m.at(trialName)); err != nil {
		return err
	}
	return m.os().SyncDir(m.Folder)
}

// Confirm keeps the text that this boot tries. The error is ErrNoTrial where it tries none.
func (m *Machine) Confirm() error {
	if !m.OnTrial() {
		return ErrNoTrial
	}
	shown, err := read(filepath.Join(m.Shown, textName))
	if err != nil {
		return err
	}
	if tried, err := read(m.at(triedName)); err != nil || !bytes.Equal(tried, shown) {
		return errors.Join(errors.New("what was tried is not what is in force: try it again"), err)
	}
	return m.move(triedName, textName)
}

// OnTrial reports whether this boot tries settings that nobody confirmed yet. It is asked by root too, and opens nothing.
func (m *Machine) OnTrial() bool {
	return plain(filepath.Join(m.Shown, markerName)) && plain(m.at(triedName))
}

func plain(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode().IsRegular()
}

// State is how the settings are.
type State struct {
	Text    string    // that is in force in this boot
	Image   bool      // nobody has confirmed any other than those of the image
	OnTrial bool      // it is tried, and the next boot does not have it
	Waits   bool      // another is tried by the next boot
	Over    time.Time // when what was tried last had been sent; zero: it was confirmed, or a day has passed
	Tried   string    // what was tried then
}

// State looks how they are.
func (m *Machine) State(now time.Time) (*State, error) {
	text, err := read(filepath.Join(m.Shown, textName))
	if err != nil {
		return nil, err
	}
	s := &State{Text: string(text), Image: !plain(m.at(textName)), OnTrial: m.OnTrial(), Waits: plain(m.at(trialName))}
	if s.OnTrial {
		return s, nil
	}
	info, err := os.Lstat(m.at(triedName))
	if err != nil || now.Sub(info.ModTime()) > remembered {
		return s, nil
	}
	if text, err = read(m.at(triedName)); err == nil {
		s.Over, s.Tried = info.ModTime(), string(text)
	}
	return s, nil
}
