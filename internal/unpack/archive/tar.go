package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"

	"gatepost/internal/unpack"
)

const tarBlock = 512

// matchTar matches tar in all its dialects: by the mark of POSIX and GNU, else by the checksum of the first header.
func matchTar(head []byte, _ unpack.Content) bool {
	if len(head) < tarBlock || head[0] == 0 {
		return false
	}
	return string(head[257:262]) == "ustar" || summed(head)
}

// shortTarName is the name in the header that read ends with, or with what tells the holes of the file behind it: what readers
// show that know nothing of names that are told in a header of their own.
func shortTarName(read []byte) string {
	for n := 0; n < 16 && len(read) >= tarBlock; n++ {
		if head := read[len(read)-tarBlock:]; head[0] != 0 && summed(head) {
			name, _, _ := bytes.Cut(head[:100], []byte{0})
			return string(name)
		}
		read = read[:len(read)-tarBlock]
	}
	return ""
}

// summed reports whether a block tells its own checksum, as a header does: of octets, or of octets with a sign.
func summed(head []byte) bool {
	var told, sum, signed int64
	for _, c := range head[148:156] {
		if c >= '0' && c <= '7' {
			told = told<<3 | int64(c-'0')
		} else if c != ' ' && c != 0 {
			return false
		}
	}
	for i, c := range head[:tarBlock] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
		signed += int64(int8(c))
	}
	return told == sum || told == signed
}

func openTar(l *lister, c unpack.Content) error {
	l.unix = true
	src := bytes.NewReader(c.Bytes())
	t := tar.NewReader(src)
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil && h == nil {
			return err
		}
		e := unpack.Entry{Name: h.Name, Size: h.Size, Packed: min(h.Size, int64(src.Len())), Folder: h.Typeflag == tar.TypeDir}
		e.Names = []string{shortTarName(c.Bytes()[:len(c.Bytes())-src.Len()])}
		var r io.Reader = t
		switch h.Typeflag {
		case tar.TypeSymlink:
			e.Signs, r = points(path.Dir(plain(h.Name)), h.Linkname), nil
		case tar.TypeLink:
			e.Signs, r = points("", h.Linkname), nil
		case tar.TypeDir, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
			r = nil
		}
		if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
			e.Signs = append(e.Signs, sign(unpack.PathTrick, "is a device: "+h.Name))
		}
		if err := l.enter(e, r); err != nil {
			return err
		}
	}
	rest := c.Bytes()[len(c.Bytes())-src.Len():]
	if n := len(bytes.TrimLeft(rest, "\x00")); n > 0 {
		l.sign(unpack.Trailing, fmt.Sprintf("%d octets behind the end", n))
	}
	return nil
}
