package volume

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf16"
)

// sector is the unit of ISO 9660, in octets.
const sector = 2048

// openISO reads descriptors and the top folder of ISO 9660: with the names of Joliet where it has them, else with those of Rock Ridge, else
// its own.
func openISO(from io.ReaderAt) (*system, error) {
	out := new(system)
	var root []byte
	joliet := false
	for n := range int64(32) {
		d, err := octets(from, (16+n)*sector, sector)
		if err != nil || string(d[1:6]) != "CD001" {
			break
		}
		if d[0] == 255 {
			break
		}
		switch escape := string(d[88:91]); {
		case d[0] == 1 && root == nil:
			out.label, root = string(d[40:72]), d[156:190]
		case d[0] == 2 && (escape == "%/@" || escape == "%/C" || escape == "%/E"):
			root, joliet = d[156:190], true
		}
	}
	if root == nil || out.label == "" {
		return nil, noVolume{}
	}
	size := int64(binary.LittleEndian.Uint32(root[10:]))
	folder, err := octets(from, int64(binary.LittleEndian.Uint32(root[2:]))*sector, min(size, maxFolder))
	if err != nil {
		return nil, err
	}
	for at := 0; at < len(folder) && len(out.files) < maxEntries; {
		n := int(folder[at])
		if n == 0 { // no record crosses a sector
			at = (at/sector + 1) * sector
			continue
		}
		if n < 34 || at+n > len(folder) || 33+int(folder[at+32]) > n {
			break
		}
		record := folder[at : at+n]
		at += n
		if record[25]&2 == 0 { // no folder
			out.files = append(out.files, isoFile(from, record, joliet))
		}
	}
	return out, nil
}

// isoFile is the file of a record (ECMA-119 section 9.1).
func isoFile(from io.ReaderAt, record []byte, joliet bool) file {
	end := 33 + int(record[32])
	name := string(record[33:end])
	if joliet {
		name = bigUTF16(record[33:end])
	}
	name, _, _ = strings.Cut(name, ";")
	name = strings.TrimSuffix(name, ".")
	if own := rockRidge(record[min(end+end%2, len(record)):]); own != "" && !joliet {
		name = own
	}
	size := int64(binary.LittleEndian.Uint32(record[10:]))
	at := (int64(binary.LittleEndian.Uint32(record[2:])) + int64(record[1])) * sector
	return file{name: name, size: size, read: func() ([]byte, error) { return octets(from, at, size) }}
}

// rockRidge is the name (NM) in the area of a record that is for systems' use (IEEE P1281, P1282); "" where there is none.
func rockRidge(area []byte) (name string) {
	for len(area) >= 4 {
		n := int(area[2])
		if n < 4 || n > len(area) {
			break
		}
		if string(area[:2]) == "NM" && n > 5 {
			name += string(area[5:n])
		}
		area = area[n:]
	}
	return name
}

func bigUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
