package office

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// oneNote is a section of OneNote (.one) or a package of sections. [MS-ONESTORE]. A note with a picture "double-click to view"
// over a script is how it is misused, so what matters is what files it carries. Those lie whole, each behind a GUID, and are
// found by it; the revision store around them is not read.
type oneNote struct{}

func (oneNote) Name() string { return "onenote" }
func (oneNote) Match(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte("\xE4\x52\x5C\x7B\x8C\xD8\xA7\x4D\xAE\xB1\x53\x78\xD0\x29\x96\xD3")) ||
		bytes.HasPrefix(head, []byte("\xA1\x2F\xFF\x43\xD9\xEF\x76\x4C\x9E\xE2\x10\xEA\x57\x22\x76\x5F"))
}

const maxBlobs = 1000

func (oneNote) Open(w *unpack.Walk, at int, c unpack.Content) error {
	b := c.Bytes()
	// FileDataStoreObject: 2.6.13.
	store := []byte("\xE7\x16\xE3\xBD\x65\x26\x11\x45\xA4\xC4\x8D\x4D\x0B\x7A\x9E\xAC")
	var blobs [][]byte
	total := 0
	for rest := b; len(blobs) < maxBlobs; {
		i := bytes.Index(rest, store)
		if i < 0 || len(rest) < i+36 {
			break
		}
		rest = rest[i+16:]
		size := binary.LittleEndian.Uint64(rest)
		blob := cut(rest, 20, int(min(size, uint64(len(rest)))))
		if total += len(blob); len(blob) == 0 || total > 4*len(b) {
			continue
		}
		blobs = append(blobs, blob)
	}
	names := oneNames(b)
	for _, name := range names {
		w.Sign(at, unpack.Embedded, "a file: "+name)
	}
	matched := len(names) == len(blobs)
	for i, blob := range blobs {
		name := "embedded " + strconv.Itoa(i+1)
		if matched {
			name = names[i]
		}
		if err := w.Enter(at, unpack.Entry{Name: name, Size: int64(len(blob))}, bytes.NewReader(blob)); err != nil {
			return err
		}
	}
	if matched {
		return nil
	}
	for _, name := range names { // which is whose is not known, and policy by name must see them
		if err := w.Enter(at, unpack.Entry{Name: name, Size: -1}, nil); err != nil {
			return err
		}
	}
	return nil
}

// oneNames lists texts that look like names of files: a length in octets, UTF-16, NUL at the end, and a dot with an extension.
// They may begin at an odd place, so that there are two passes.
func oneNames(b []byte) []string {
	seen := map[string]bool{}
	var out []string
	for parity := range 2 {
		start := -1
		for i := parity; i+1 < len(b) && len(out) < maxBlobs; i += 2 {
			c := uint16(b[i]) | uint16(b[i+1])<<8
			if inName(c) {
				if start < 0 {
					start = i
				}
				continue
			}
			if c == 0 && start >= 4 && i-start >= 6 && i-start <= 520 {
				if n := int(u32(b, start-4)); n == i-start || n == i-start+2 {
					name := wide(b[start:i])
					if dot := strings.LastIndexByte(name, '.'); dot > 0 && len(name)-dot >= 2 && len(name)-dot <= 7 && !strings.EqualFold(name[dot:], ".com") && !seen[name] {
						seen[name] = true
						out = append(out, name)
					}
				}
			}
			start = -1
		}
	}
	return out
}

// inName reports whether a UTF-16 character may be in the name of a file.
func inName(c uint16) bool {
	switch c {
	case '\\', '/', ':', '*', '?', '"', '<', '>', '|', 0x7f:
		return false
	}
	return c >= 0x20 && c < 0xd800
}
