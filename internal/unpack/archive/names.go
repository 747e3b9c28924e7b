package archive

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"gatepost/internal/unpack"
)

const (
	longName  = 1024 // octets of a path that tools still take
	longLabel = 255  // octets of one name in it that file systems still take
)

// plain is a name with the separators of Unix.
func plain(name string) string { return strings.ReplaceAll(name, `\`, "/") }

// tricks says what a name does that a name in an archive has no need to do: to leave the folder into which it is unpacked, to
// start at the root or at a drive, to name a device or a stream of a file, to be cut by a NUL, to steer a terminal, to be
// longer than file systems take. A backslash alone is none: it is how DOS writes a path. unix says that a colon is a letter.
func tricks(name string, unix bool) []unpack.Sign {
	var out []unpack.Sign
	trick := func(what string) { out = append(out, sign(unpack.PathTrick, what+": "+name)) }
	p := plain(name)
	if leaves(p) {
		trick("leaves its folder")
	}
	if strings.HasPrefix(p, "/") {
		trick("starts at the root")
	}
	drive := len(p) >= 2 && p[1] == ':' && (p[0]|0x20 >= 'a' && p[0]|0x20 <= 'z') && (!unix || len(p) > 2 && p[2] == '/')
	if drive {
		trick("starts at a drive")
	}
	if strings.IndexByte(p, 0) >= 0 {
		trick("holds a NUL")
	} else if strings.IndexFunc(p, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) >= 0 {
		trick("holds a control character")
	}
	if len(p) > longName {
		trick(fmt.Sprintf("is %d octets long", len(p)))
	}
	if drive {
		p = p[2:]
	}
	long, device, stream := false, false, false
	for label := range strings.SplitSeq(p, "/") {
		long = long || len(label) > longLabel
		device = device || isDevice(label)
		stream = stream || !unix && strings.Contains(label, ":")
	}
	if long && len(p) <= longName {
		trick("has a part over 255 octets")
	}
	if device {
		trick("names a device")
	}
	if stream {
		trick("names a stream of a file")
	}
	return out
}

// leaves reports whether a path with slashes goes above where it starts, at any point of it.
func leaves(p string) bool {
	depth := 0
	for label := range strings.SplitSeq(strings.TrimLeft(p, "/"), "/") {
		switch strings.TrimRight(label, " ") { // Windows takes "..  " for ".."
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
}

// isDevice reports whether Windows takes a file of that name for a device, whatever its extension.
func isDevice(label string) bool {
	base, _, _ := strings.Cut(label, ".")
	base = strings.ToUpper(strings.TrimRight(base, " :"))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	return len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && base[3] >= '1' && base[3] <= '9'
}

// points says whether a link of an entry leads out of the folder into which the archive is unpacked. from is the folder that
// the target is told from: that of the entry for a symbolic link, "" for a hard link.
func points(from, target string) []unpack.Sign {
	t := plain(target)
	drive := len(t) >= 2 && t[1] == ':'
	if strings.HasPrefix(t, "/") || drive || leaves(joined(from, t)) {
		return []unpack.Sign{sign(unpack.PathTrick, "is a link out of the archive: "+target)}
	}
	return nil
}

// joined is a target as it is seen from the top of the archive.
func joined(from, target string) string {
	from = strings.Trim(plain(from), "/")
	if from == "" || from == "." {
		return target
	}
	return from + "/" + target
}

// dosName decodes a name that is not marked as UTF-8. What is valid UTF-8 is taken for it, as most tools do; the rest is
// code page 437, which is what the format says.
func dosName(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	s, err := charmap.CodePage437.NewDecoder().Bytes(raw)
	if err != nil {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return string(s)
}

// inner is the name of what a packed file holds, by the name of that: without one of its endings. An ending "a=b" is
// replaced by b, as in ".tgz=.tar".
func inner(name string, endings ...string) string {
	lower := strings.ToLower(name)
	for _, e := range endings {
		ending, to, _ := strings.Cut(e, "=")
		if strings.HasSuffix(lower, ending) && len(name) > len(ending) {
			return name[:len(name)-len(ending)] + to
		}
	}
	return name
}
