package archive

import (
	"bytes"
	"errors"
	"io"
	"path"

	"github.com/nwaples/rardecode/v2"

	"gatepost/internal/unpack"
)

const rarMagic = "Rar!\x1a\x07"

func matchRar(head []byte, _ unpack.Content) bool {
	return bytes.HasPrefix(head, []byte(rarMagic)) && len(head) > 7 && (head[6] == 0 || head[6] == 1 && head[7] == 0)
}

// openRar opens RAR 1.5 to 7.
func openRar(l *lister, c unpack.Content) error {
	z, err := rardecode.NewReader(bytes.NewReader(c.Bytes()), rardecode.MaxDictionarySize(maxDictionary))
	for err == nil {
		var h *rardecode.FileHeader
		h, err = z.Next()
		if err == nil {
			if err := l.rarFile(z, h); err != nil {
				return err
			}
		}
	}
	switch {
	case err == io.EOF:
		return nil
	case errors.Is(err, rardecode.ErrArchiveEncrypted):
		l.sign(unpack.Encrypted, "names")
		return nil
	case errors.Is(err, rardecode.ErrDictionaryTooLarge):
		return l.w.Over(unpack.TooBig, l.at)
	case errors.Is(err, rardecode.ErrMultiVolume), errors.Is(err, rardecode.ErrBadVolumeNumber), errors.Is(err, rardecode.ErrInvalidFileBlock):
		return errors.New("a volume of several")
	}
	return err
}

func (l *lister) rarFile(z *rardecode.Reader, h *rardecode.FileHeader) error {
	e := unpack.Entry{Name: h.Name, Packed: h.PackedSize, Size: h.UnPackedSize, Folder: h.IsDir}
	if h.UnKnownSize {
		e.Size = -1
	}
	var r io.Reader = z
	from := path.Dir(plain(h.Name))
	switch {
	case h.Encrypted:
		e.Signs, r = append(e.Signs, sign(unpack.Encrypted, "entries")), nil
	case h.IsDir:
		r = nil
	case h.LinkType == rardecode.LinkTypeHardLink, h.LinkType == rardecode.LinkTypeFileCopy:
		e.Signs, r = append(e.Signs, points("", h.LinkTarget)...), nil
	case h.LinkType != rardecode.LinkTypeNone:
		e.Signs, r = append(e.Signs, points(from, h.LinkTarget)...), nil
	case h.HostOS == rardecode.HostOSUnix && h.Attributes&0xf000 == 0xa000:
		target, _ := io.ReadAll(io.LimitReader(&calm{r: z}, longName))
		e.Signs, r = append(e.Signs, points(from, string(target))...), bytes.NewReader(target)
	}
	return l.enter(e, r)
}
