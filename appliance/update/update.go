// Package update replaces the version of the appliance: it writes a bundle into the slot that does not run, and gives the boot loader an
// entry for it that counts its boots. The loader falls back to the running version by itself; no code here decides what boots next.
//
// Power may be cut at any step: the entry of the running version is not touched by an update, and the new one gets its name only when
// its slot and its kernel were read back. It never knows mail, never asks the network, and knows nothing of what the configuration says.
// The names of entries are those of the Boot Loader Specification.
package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost/appliance/bundle"
	"gatepost/appliance/minisign"
)

// Slot is a partition that holds a root file system.
type Slot struct {
	Name   string // a or b
	Device string // path of the partition
}

// Machine is an appliance, as an update sees it.
type Machine struct {
	ESP     string  // the folder where the EFI system partition is mounted; entries are in EFI/Linux below it
	Slots   [2]Slot // in any order
	Running bundle.Version
	Slot    string // the name of the one that runs
	Work    string // a folder of root's own on the data partition, which is there
	Keys    []minisign.PublicKey
	Config  string   // the folder of what a version is configured by
	Files   []string // of it, by their paths below it; of a folder, whose name ends in /, its plain files. Those that are missing are left out
	Not     []string // files of those folders that are of one boot, and belong to no version

	disk disk // nil: the real one
}

// ErrNoAppliance says that this is not one that was started from an image.
var ErrNoAppliance = errors.New("this machine is no appliance: it was not started from an image of Gatepost, and is updated by its packages")

// What an appliance is found by, below the root of the file system.
const (
	slotFile    = "run/appliance/slot"
	commandLine = "proc/cmdline"
	versionWord = "gatepost.version="
	keyFolder   = "usr/share/gatepost/update-keys"
	maxKeys     = 4
)

// Find finds out what this machine runs: the version is in the command line of its kernel, the slot in a file that the initrd wrote, the
// public keys in its verified root. root is / but for tests. The error is ErrNoAppliance where there is no such file.
func Find(root string) (*Machine, error) {
	slot, err := os.ReadFile(filepath.Join(root, slotFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoAppliance
	}
	if err != nil {
		return nil, err
	}
	m := &Machine{
		ESP:   filepath.Join(root, "efi"),
		Work:  filepath.Join(root, "var/lib/gatepost-update"),
		Slot:  strings.TrimSpace(string(slot)),
		Slots: [2]Slot{{"a", filepath.Join(root, "dev/disk/by-partlabel/root-a")}, {"b", filepath.Join(root, "dev/disk/by-partlabel/root-b")}},
	}
	if m.Slot != "a" && m.Slot != "b" {
		return nil, fmt.Errorf("/%s: %.20q is no slot: it must be a or b", slotFile, m.Slot)
	}
	line, err := os.ReadFile(filepath.Join(root, commandLine))
	if err != nil {
		return nil, err
	}
	for _, word := range strings.Fields(string(line)) {
		if v, ok := strings.CutPrefix(word, versionWord); ok {
			if m.Running, err = bundle.ParseVersion(v); err != nil {
				return nil, fmt.Errorf("/%s: %s: %w", commandLine, versionWord, err)
			}
		}
	}
	if m.Running == "" {
		return nil, fmt.Errorf("/%s: it has no %s", commandLine, versionWord)
	}
	m.Keys, err = readKeys(filepath.Join(root, keyFolder))
	return m, err
}

func readKeys(dir string) (keys []minisign.PublicKey, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.pub"))
	if err != nil {
		return nil, err
	}
	if len(names) > maxKeys {
		return nil, fmt.Errorf("%s: %d keys; at most %d", dir, len(names), maxKeys)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		k, err := minisign.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (m *Machine) os() disk {
	if m.disk == nil {
		return realDisk{}
	}
	return m.disk
}

func (m *Machine) linux() string { return filepath.Join(m.ESP, "EFI", "Linux") }

// Status is what the machine runs, and could.
type Status struct {
	Running bundle.Version `json:"running"`
	Slot    string         `json:"slot"`
	Trial   bool           `json:"trial"`   // the running version was not found good yet
	Next    bundle.Version `json:"next"`    // what the boot loader takes
	Back    bundle.Version `json:"back"`    // what a rollback returns to; empty: nothing
	Entries []Entry        `json:"entries"` // in the order of the boot loader
}

// Status reads the ESP.
func (m *Machine) Status() (*Status, error) {
	entries, running, err := m.entries()
	if err != nil {
		return nil, err
	}
	s := &Status{Running: m.Running, Slot: m.Slot, Entries: entries, Next: entries[0].Version}
	s.Trial = running.Counted && (running.Left > 0 || hasGood(entries, m.Running))
	for _, e := range entries {
		if s.Back == "" && e.Version != m.Running && !e.Counted {
			s.Back = e.Version
		}
	}
	return s, nil
}

// hasGood reports whether a version other than the one was found good. A version on its last try has no tries left, as one that failed
// has: what tells them apart is whether the boot loader had another to take.
func hasGood(all []Entry, but bundle.Version) bool {
	return slices.ContainsFunc(all, func(e Entry) bool { return e.Version != but && !e.Counted })
}

// entries reads those of the ESP, in the order of the boot loader, with that of the running version.
func (m *Machine) entries() (all []Entry, running Entry, err error) {
	names, err := m.os().List(m.linux())
	if err != nil {
		return nil, running, err
	}
	found := false
	for _, name := range names {
		e, ok := ParseEntry(name)
		if !ok {
			continue
		}
		all = append(all, e)
		if e.Version == m.Running {
			running, found = e, true
		}
	}
	if !found {
		return nil, running, fmt.Errorf("the boot entry of version %s, which runs, is not in %s: it would not be started again", m.Running, m.linux())
	}
	order(all)
	return all, running, nil
}

// Rollback has the boot loader take the other version at the next boot, if one that was found good is there: it takes the tries of the
// running one away, as if it had failed. It returns the version that is booted next.
func (m *Machine) Rollback() (bundle.Version, error) {
	lock, err := m.os().Lock(filepath.Join(m.Work, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	all, running, err := m.entries()
	if err != nil {
		return "", err
	}
	if !hasGood(all, m.Running) {
		return "", fmt.Errorf("there is no version to return to: %s is the only one here that was found good", m.Running)
	}
	// A version that waits for its first boot would be taken before the older one.
	for _, e := range all {
		if e.Version != m.Running && e.Counted && e.Left > 0 {
			return "", fmt.Errorf("version %s waits for its first boot: restart the appliance, or apply another update", e.Version)
		}
	}
	away := Entry{Version: m.Running, Counted: true}
	if running != away {
		if err := m.os().Rename(filepath.Join(m.linux(), running.File()), filepath.Join(m.linux(), away.File())); err != nil {
			return "", err
		}
	}
	if err := m.os().Sync(m.ESP); err != nil {
		return "", err
	}
	s, err := m.Status()
	if err != nil {
		return "", err
	}
	return s.Next, nil
}
