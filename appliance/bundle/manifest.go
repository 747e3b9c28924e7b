// Package bundle is the file that updates the appliance, gatepost-<version>.gpu: a signed manifest, and the parts that it tells the size
// and the sum of. Reading gives out no octet of a part before the manifest is known to be signed by a key that is trusted.
//
//	gatepost-bundle-1 00000456    \n   the format, and how long the manifest is
//	{"product":"gatepost", ...}        the manifest: JSON, at most 64 KiB
//	untrusted comment: ...        \n   the signature of all before it, in the four lines of minisign
//	...                                the parts, one after the other, and nothing behind them
//
// It never writes to a disk, and knows nothing of slots (package update does). No RFC applies: the signature is Ed25519 of RFC 8032 over
// BLAKE2b-512 of RFC 7693.
package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a bundle is of.
const (
	Product      = "gatepost"
	Architecture = "x86-64"
)

// Names of the parts, in the order in which they stand in the bundle.
const (
	Root = "root" // the image of the root file system, with its tree of hashes
	UKI  = "uki"  // kernel, initrd and command line in one PE file
)

// Bounds of a bundle, in octets.
const (
	MaxManifest = 64 << 10
	MaxPart     = 4 << 30
)

const (
	magic  = "gatepost-bundle-1 "
	digits = 8
	// headSize is that of the first line.
	headSize = len(magic) + digits + 1
)

// Version is two to four numbers with dots between them, each of at most six digits and without zeros before it. The boot loader
// takes the one of the highest version by itself, so there is nothing in it that could be ordered in more than one way.
type Version string

// ParseVersion reads a version.
func ParseVersion(s string) (Version, error) {
	if !regexp.MustCompile(`^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){1,3}$`).MatchString(s) {
		return "", fmt.Errorf("%.40q is no version: write two to four numbers with dots between them, as in 1.4.2", s)
	}
	return Version(s), nil
}

// Compare is negative where v is older than o, and positive where it is newer. A number that is not there is older than any.
func (v Version) Compare(o Version) int {
	numbers := func(v Version) (out []int) {
		for p := range strings.SplitSeq(string(v), ".") {
			n, _ := strconv.Atoi(p) // "" of a zero Version is the oldest of all
			out = append(out, n)
		}
		return out
	}
	if v == "" || o == "" {
		return strings.Compare(string(v), string(o))
	}
	return slices.Compare(numbers(v), numbers(o))
}

// Part is one of the parts.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // octets
	SHA256 string `json:"sha256"` // hexadecimal
}

// Manifest tells what a bundle is and holds.
type Manifest struct {
	Product      string  `json:"product"`
	Architecture string  `json:"architecture"`
	Version      Version `json:"version"`
	From         Version `json:"from"`      // the oldest version that may be updated by it
	RootHash     string  `json:"root_hash"` // of dm-verity, hexadecimal
	Parts        []Part  `json:"parts"`
}

// Size is how many octets the parts have together.
func (m *Manifest) Size() (n int64) {
	for _, p := range m.Parts {
		n += p.Size
	}
	return n
}

// Part is the part of a name. A manifest that was checked has both.
func (m *Manifest) Part(name string) Part {
	for _, p := range m.Parts {
		if p.Name == name {
			return p
		}
	}
	return Part{}
}

// check says what of a manifest is not as it must be, by the key.
func (m *Manifest) check() error {
	if m.Product != Product {
		return fmt.Errorf("product: it is for %.40q, and this is %s", m.Product, Product)
	}
	if m.Architecture != Architecture {
		return fmt.Errorf("architecture: it is for %.40q, and this is %s", m.Architecture, Architecture)
	}
	if _, err := ParseVersion(string(m.Version)); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	if _, err := ParseVersion(string(m.From)); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if !isSum(m.RootHash) {
		return errors.New("root_hash: write 64 hexadecimal digits, in small letters")
	}
	if len(m.Parts) != 2 || m.Parts[0].Name != Root || m.Parts[1].Name != UKI {
		return fmt.Errorf("parts: there must be two, %s and then %s", Root, UKI)
	}
	for _, p := range m.Parts {
		if p.Size < 1 || p.Size > MaxPart {
			return fmt.Errorf("parts: %s: size: %d octets; it must be 1 to %d", p.Name, p.Size, int64(MaxPart))
		}
		if !isSum(p.SHA256) {
			return fmt.Errorf("parts: %s: sha256: write 64 hexadecimal digits, in small letters", p.Name)
		}
	}
	return nil
}

func isSum(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == 32 && strings.ToLower(s) == s
}

// Signed is the text that is signed: the first line and the manifest. The same manifest gives the same text.
func (m *Manifest) Signed() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	if len(text) > MaxManifest {
		return nil, fmt.Errorf("the manifest has %d octets; at most %d", len(text), MaxManifest)
	}
	return append(fmt.Appendf(nil, "%s%0*d\n", magic, digits, len(text)), text...), nil
}

// parse reads a manifest whose signature was verified. It takes nothing that it does not know: a later format has another first line.
func parse(text []byte) (*Manifest, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	return m, m.check()
}
