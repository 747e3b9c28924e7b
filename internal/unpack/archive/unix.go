package archive

import (
	"bytes"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
)

// openAr opens what ar writes: libraries, and packages of Debian.
func openAr(l *lister, c unpack.Content) error {
	l.unix = true
	b := c.Bytes()
	b = b[min(8, len(b)):]
	var names []byte // of GNU, for the long ones
	for len(b) > 0 {
		if len(b) < 60 || b[58] != '`' || b[59] != '\n' {
			return errors.New("a header is broken")
		}
		name := strings.TrimRight(string(b[:16]), " ")
		size, err := strconv.ParseInt(strings.TrimSpace(string(b[48:58])), 10, 64)
		if err != nil || size < 0 {
			return errors.New("a size is broken")
		}
		b = b[60:]
		content, cut := b, true
		if size <= int64(len(b)) {
			content, cut = b[:size], false
		}
		b = b[len(content):]
		if size%2 == 1 && len(b) > 0 {
			b = b[1:]
		}
		switch {
		case name == "//":
			names = content
			continue
		case name == "/" || name == "/SYM64/":
			continue
		case strings.HasPrefix(name, "#1/"): // BSD: the name is before the content
			n, err := strconv.Atoi(name[3:])
			if err != nil || n < 0 || n > len(content) {
				return errors.New("a name is broken")
			}
			name, content = strings.TrimRight(string(content[:n]), "\x00"), content[n:]
		case len(name) > 1 && name[0] == '/':
			n, err := strconv.Atoi(name[1:])
			if err != nil || n < 0 || n > len(names) {
				return errors.New("a name is broken")
			}
			long, _, _ := strings.Cut(string(names[n:]), "\n")
			name = strings.TrimSuffix(long, "/")
		default:
			name = strings.TrimSuffix(name, "/")
		}
		if err := l.enter(unpack.Entry{Name: name, Packed: int64(len(content)), Size: size}, cutReader(content, cut)); err != nil {
			return err
		}
	}
	return nil
}

// cutReader reads content, and fails at its end where more was promised.
func cutReader(content []byte, cut bool) io.Reader {
	if cut {
		return io.MultiReader(bytes.NewReader(content), failed{errCut})
	}
	return bytes.NewReader(content)
}

func matchCpio(head []byte, _ unpack.Content) bool {
	return len(head) >= 110 && (string(head[:6]) == "070701" || string(head[:6]) == "070702") || len(head) >= 76 && string(head[:6]) == "070707"
}

// openCpio opens the portable formats of cpio, old (octal) and new (hexadecimal).
func openCpio(l *lister, c unpack.Content) error {
	l.unix = true
	b := c.Bytes()
	at := 0
	for {
		h, err := cpioHeader(b[at:])
		if err != nil {
			return err
		}
		at += h.content
		if h.name == "TRAILER!!!" {
			return nil
		}
		end := at + int(min(h.size, int64(len(b)-at)))
		content, cut := b[at:end], h.size > int64(len(b)-at)
		e := unpack.Entry{Name: h.name, Packed: int64(len(content)), Size: h.size, Folder: h.mode&0xf000 == 0x4000}
		r := cutReader(content, cut)
		switch h.mode & 0xf000 {
		case 0xa000:
			e.Signs = points(path.Dir(plain(h.name)), string(content[:min(len(content), longName)]))
		case 0x8000:
		default:
			r = nil
		}
		if err := l.enter(e, r); err != nil {
			return err
		}
		if cut {
			return errCut
		}
		at = end + h.pad(end)
		if at > len(b) {
			return errCut
		}
	}
}

type cpioEntry struct {
	name    string
	mode    int64
	size    int64
	content int // where it starts
	align   int
}

func (h *cpioEntry) pad(n int) int { return (h.align - n%h.align) % h.align }

func cpioHeader(b []byte) (h cpioEntry, err error) {
	number := func(from, n, base int) int64 {
		v, e := strconv.ParseUint(string(b[from:from+n]), base, 62)
		if e != nil {
			err = errors.New("a header is broken")
		}
		return int64(v)
	}
	head := 110
	var name int64
	switch {
	case len(b) >= 110 && (string(b[:6]) == "070701" || string(b[:6]) == "070702"):
		h.align, h.mode, h.size, name = 4, number(14, 8, 16), number(54, 8, 16), number(94, 8, 16)
	case len(b) >= 76 && string(b[:6]) == "070707":
		head, h.align, h.mode, h.size, name = 76, 1, number(18, 6, 8), number(65, 11, 8), number(59, 6, 8)
	default:
		err = errCut
	}
	if err == nil && (name < 1 || name > int64(len(b)-head)) {
		err = errCut
	}
	if err != nil {
		return h, err
	}
	h.name = strings.TrimSuffix(string(b[head:head+int(name)]), "\x00")
	h.content = head + int(name)
	h.content += h.pad(h.content)
	if h.content > len(b) {
		return h, errCut
	}
	return h, nil
}

// openRPM opens a package of RPM: its payload is a packed cpio behind two headers.
func openRPM(l *lister, c unpack.Content) error {
	b := c.Bytes()
	at := 96
	for i := range 2 {
		if at+16 > len(b) || string(b[at:at+3]) != "\x8e\xad\xe8" {
			return errCut
		}
		big := func(p int) int64 { return int64(b[p])<<24 | int64(b[p+1])<<16 | int64(b[p+2])<<8 | int64(b[p+3]) }
		n := 16*big(at+8) + big(at+12) + 16
		if n > int64(len(b)-at) {
			return errCut
		}
		at += int(n)
		if i == 0 {
			at += (8 - at%8) % 8
		}
	}
	if at > len(b) {
		return errCut
	}
	return l.enter(unpack.Entry{Name: "payload", Packed: int64(len(b) - at), Size: int64(len(b) - at)}, bytes.NewReader(b[at:]))
}
