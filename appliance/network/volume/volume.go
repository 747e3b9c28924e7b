// Package volume reads files out of the top folder of small volumes that somebody else made: ISO 9660 (ECMA-119), with names of Rock Ridge
// (IEEE P1282) or Joliet, and FAT (ECMA-107, and Microsoft's long names). It mounts nothing, so that neither rights nor the kernel's file
// systems meet what a stranger wrote, and it bounds what it reads.
package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	maxFolder  = 1 << 20 // octets of the top folder
	maxEntries = 4096
)

// noVolume says that there is no volume of a kind that is known.
type noVolume struct{}

func (noVolume) Error() string { return "no volume of ISO 9660 or FAT" }

// Volume is one that was looked at.
type Volume struct {
	Device string // where it was found
	Label  string
	Files  map[string][]byte
}

// Read reads the files of these names from the top folder of a volume, each of at most most octets; one that is not there is not in Files.
// Names are compared without case. An error says that there is no such volume, or what is wrong with it.
func Read(from io.ReaderAt, names []string, most int64) (*Volume, error) {
	fs, err := openISO(from)
	if errors.Is(err, noVolume{}) {
		fs, err = openFAT(from)
	}
	if err != nil {
		return nil, err
	}
	v := &Volume{Label: strings.TrimRight(fs.label, " \x00"), Files: map[string][]byte{}}
	for _, f := range fs.files {
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, f.name) })
		if i < 0 || v.Files[names[i]] != nil {
			continue
		}
		if f.size > most {
			return v, fmt.Errorf("%s has %d octets, at most %d", names[i], f.size, most)
		}
		text, err := f.read()
		if err != nil {
			return v, fmt.Errorf("%s: %w", names[i], err)
		}
		v.Files[names[i]] = text
	}
	return v, nil
}

// system is what is known of a volume after its top folder was read.
type system struct {
	label string
	files []file
}

// file is one of the top folder.
type file struct {
	name string
	size int64
	read func() ([]byte, error)
}

// Find looks for a volume with this label, in any case, on the block devices that the folder blocks lists (/sys/class/block), whose nodes lie
// in the folder nodes (/dev). nil and no error: there is none. One that has the label and cannot be read is an error.
func Find(blocks, nodes, label string, names []string, most int64) (*Volume, error) {
	list, err := os.ReadDir(blocks)
	if err != nil {
		return nil, err
	}
	for _, d := range list[:min(len(list), maxEntries)] {
		v, err := look(filepath.Join(nodes, d.Name()), names, most)
		if v == nil || !strings.EqualFold(v.Label, label) {
			continue
		}
		if v.Device = filepath.Join(nodes, d.Name()); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Device, err)
		}
		return v, nil
	}
	return nil, nil
}

func look(name string, names []string, most int64) (*Volume, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err // an empty drive has no medium
	}
	defer f.Close()
	return Read(f, names, most)
}

// octets reads n of them at an offset.
func octets(from io.ReaderAt, at, n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := from.ReadAt(b, at)
	if int64(got) == n {
		return b, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}
