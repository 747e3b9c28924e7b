package directory

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A copy is: magic, time it was read (Unix seconds), number of addresses, key, the sorted hashes, CRC-32C of all before.
// Numbers are big-endian and of 64 bits, but for the CRC of 32.
const (
	copyMagic  = "GPDIR01\n"
	copyHeader = len(copyMagic) + 8 + 8 + seedSize
	copyTail   = 4
)

var errDamaged = errors.New("the copy is damaged")

func newCRC() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// writeCopy replaces the copy: after it returned nil, the new one is there whole, also after a power cut; else the one before.
func writeCopy(path string, s *set, read time.Time) (err error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err = s.write(f, read); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *set) write(w io.Writer, read time.Time) error {
	sum := newCRC()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	head := []byte(copyMagic)
	head = binary.BigEndian.AppendUint64(head, uint64(read.Unix()))
	head = binary.BigEndian.AppendUint64(head, uint64(len(s.hashes)))
	if _, err := out.Write(append(head, s.seed[:]...)); err != nil {
		return err
	}
	var word [8]byte
	for _, h := range s.hashes {
		binary.BigEndian.PutUint64(word[:], h)
		if _, err := out.Write(word[:]); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// readCopy reads a copy. What is not exactly what was written is an error.
func readCopy(path string) (*set, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	s, at, err := parseCopy(f, info.Size())
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, at, nil
}

// parseCopy reads a copy of size octets. It takes no more memory than the size says, and the size must be right.
func parseCopy(r io.Reader, size int64) (*set, time.Time, error) {
	sum := newCRC()
	in := bufio.NewReaderSize(r, 64<<10)
	var head [copyHeader]byte
	if _, err := io.ReadFull(in, head[:]); err != nil || string(head[:len(copyMagic)]) != copyMagic {
		return nil, time.Time{}, errDamaged
	}
	sum.Write(head[:])
	rest := head[len(copyMagic):]
	at, n := binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])
	if n > MaxAddresses || size != int64(copyHeader)+int64(n)*8+copyTail || at > 1<<40 {
		return nil, time.Time{}, errDamaged
	}
	s := &set{seed: [seedSize]byte(rest[16:]), hashes: make([]uint64, 0, n)}
	var word [8]byte
	for range n {
		if _, err := io.ReadFull(in, word[:]); err != nil {
			return nil, time.Time{}, errDamaged
		}
		sum.Write(word[:])
		h := binary.BigEndian.Uint64(word[:])
		if k := len(s.hashes); k > 0 && s.hashes[k-1] >= h {
			return nil, time.Time{}, errDamaged
		}
		s.hashes = append(s.hashes, h)
	}
	if _, err := io.ReadFull(in, word[:copyTail]); err != nil || binary.BigEndian.Uint32(word[:copyTail]) != sum.Sum32() {
		return nil, time.Time{}, errDamaged
	}
	return s, time.Unix(int64(at), 0), nil
}
