package ledger

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// The file is a header and records of one size, each written once and never changed. Numbers are big-endian.
//
//	header  "gatepost ledger\n"  version u32  mark of the key [8]  CRC-32C of these 28 octets
//	record  key [16]  when u32  kind u8  zero [7]                  CRC-32C of these 28 octets
const (
	recordSize    = 32
	sumAt         = recordSize - 4
	fileVersion   = 1
	magic         = "gatepost ledger\n"
	markAt        = 20
	markSize      = 8
	clockTrouble  = 24 * time.Hour // a record of the future is of a clock that was wrong
	mostFileWords = 1 << 23        // records that are read at most: 256 MiB
)

// The kinds of records.
const (
	delivery byte = 1 // a message was delivered to a recipient
	heard    byte = 2 // and its sender knows: nothing need be remembered
)

// appendRecord adds a record to b.
func appendRecord(b []byte, k Key, at uint32, kind byte) []byte {
	from := len(b)
	b = append(b, k[:]...)
	b = binary.BigEndian.AppendUint32(b, at)
	b = append(b, kind, 0, 0, 0, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], crc32.MakeTable(crc32.Castagnoli)))
}

// appendHeader adds the header; the mark says under which key the names were made.
func appendHeader(b []byte, mark []byte) []byte {
	from := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, fileVersion)
	b = append(b, mark[:markSize]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], crc32.MakeTable(crc32.Castagnoli)))
}

// record is one that was read.
type record struct {
	key  Key
	at   uint32
	kind byte
}

// readRecord reads the first record of b, which has recordSize octets. ok is false for one that is not as it was written.
func readRecord(b []byte) (r record, ok bool) {
	if !summed(b) || b[20] != delivery && b[20] != heard || [7]byte(b[21:28]) != [7]byte{} {
		return r, false
	}
	return record{key: Key(b[:16]), at: binary.BigEndian.Uint32(b[16:20]), kind: b[20]}, true
}

// isHeader reports whether b begins a file of ours, under this key.
func isHeader(b []byte, mark []byte) bool {
	return len(b) >= recordSize && summed(b) && string(b[:len(magic)]) == magic &&
		binary.BigEndian.Uint32(b[len(magic):]) == fileVersion && string(b[markAt:markAt+markSize]) == string(mark[:markSize])
}

func summed(b []byte) bool {
	return crc32.Checksum(b[:sumAt], crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32(b[sumAt:recordSize])
}
