package update

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"gatepost/appliance/bundle"
)

// Tries is how often a new version is booted before the boot loader gives it up.
const Tries = 3

// Entry is a version that the boot loader knows, by the name of its file on the ESP: gatepost_<version>[+left[-done]].efi, as of the
// boot counting of systemd-boot(7). The loader renames the file at each boot that counts; systemd-bless-boot takes the count away.
type Entry struct {
	Version bundle.Version `json:"version"`
	Counted bool           `json:"counted"` // false: it was found good once
	Left    int            `json:"left"`    // boots that are left
	Done    int            `json:"done"`    // boots that were counted
}

// ParseEntry reads the name of a file on the ESP. ok is false where it is none of ours.
func ParseEntry(file string) (e Entry, ok bool) {
	m := regexp.MustCompile(`^gatepost_([0-9.]+)(\+([0-9]{1,4})(-([0-9]{1,4}))?)?\.efi$`).FindStringSubmatch(file)
	if m == nil {
		return Entry{}, false
	}
	v, err := bundle.ParseVersion(m[1])
	if err != nil {
		return Entry{}, false
	}
	e = Entry{Version: v, Counted: m[2] != ""}
	e.Left, _ = strconv.Atoi(m[3]) // digits, or nothing
	e.Done, _ = strconv.Atoi(m[5])
	return e, true
}

// File is its name.
func (e Entry) File() string {
	switch {
	case !e.Counted:
		return fmt.Sprintf("gatepost_%s.efi", e.Version)
	case e.Done == 0:
		return fmt.Sprintf("gatepost_%s+%d.efi", e.Version, e.Left)
	}
	return fmt.Sprintf("gatepost_%s+%d-%d.efi", e.Version, e.Left, e.Done)
}

// State is one of good, waits (for its first boot), trial, withdrawn (it was rolled back) and failed.
func (e Entry) State() string {
	switch {
	case !e.Counted:
		return "good"
	case e.Left > 0 && e.Done == 0:
		return "waits"
	case e.Left > 0:
		return "trial"
	case e.Done == 0:
		return "withdrawn"
	}
	return "failed"
}

// order puts entries as the boot loader has them: those whose tries are used up last, else the newest first. The first is booted.
func order(all []Entry) {
	slices.SortStableFunc(all, func(a, b Entry) int {
		if usedA, usedB := a.Counted && a.Left == 0, b.Counted && b.Left == 0; usedA != usedB {
			if usedA {
				return 1
			}
			return -1
		}
		return cmp.Or(b.Version.Compare(a.Version), cmp.Compare(b.Left, a.Left))
	})
}
