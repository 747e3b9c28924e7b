package directory

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// MaxAddresses is how many addresses a directory may have: 40 MB of memory, and twice as much again while it is read.
const MaxAddresses = 5_000_000

const seedSize = 16

// set is a set of addresses, as sorted hashes.
type set struct {
	seed   [seedSize]byte
	hashes []uint64
}

// newSet makes an empty set with a key of its own.
func newSet() *set {
	s := new(set)
	_, _ = rand.Read(s.seed[:]) // never fails
	return s
}

// hash is the key's hash: the start of a SHA-256 that nobody else can compute.
func (s *set) hash(key string) uint64 {
	var room [seedSize + maxLocal + maxDomain + 64]byte
	b := append(append(room[:0], s.seed[:]...), key...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}

// add adds the key of an address. The set can be asked after done.
func (s *set) add(key string) error {
	if len(s.hashes) >= MaxAddresses {
		if s.done(); len(s.hashes) >= MaxAddresses { // not only the same ones over again
			return fmt.Errorf("has more than %d addresses", MaxAddresses)
		}
	}
	s.hashes = append(s.hashes, s.hash(key))
	return nil
}

// done sorts what was added and drops what is there twice.
func (s *set) done() {
	slices.Sort(s.hashes)
	s.hashes = slices.Compact(s.hashes)
}

func (s *set) has(key string) bool {
	_, ok := slices.BinarySearch(s.hashes, s.hash(key))
	return ok
}
