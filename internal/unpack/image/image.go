package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"gatepost/internal/unpack"
)

// Formats are the kinds of picture that are looked at.
func Formats() []unpack.Format {
	return []unpack.Format{
		format{"png", magic("\x89PNG\r\n\x1a\n"), png.DecodeConfig, png.Decode, pngCost},
		format{"jpeg", magic("\xff\xd8\xff"), jpeg.DecodeConfig, jpeg.Decode, jpegCost},
		format{"gif", magic("GIF8"), gif.DecodeConfig, gif.Decode, func([]byte, color.Model) int64 { return 1 }},
		format{"bmp", magic("BM"), bmp.DecodeConfig, bmp.Decode, func([]byte, color.Model) int64 { return 4 }},
		format{"webp", isWebP, webp.DecodeConfig, webp.Decode, func([]byte, color.Model) int64 { return 8 }},
	}
}

const (
	// MostSide and MostPoints bound a picture that is decoded.
	MostSide   = 4096
	MostPoints = 16 << 20
	// mostOctets bounds what decoding may take, by what a point of the format takes.
	mostOctets = 160 << 20
	// mostLooked is how many points are looked at: of larger pictures each second one, in both directions.
	mostLooked = 4 << 20
	// mostFrames is how many frames of an animation are looked at.
	mostFrames = 5
	// leastSide is that of the smallest code, with a point for each module.
	leastSide = 21
)

// format is one kind of picture.
type format struct {
	name   string
	match  func(head []byte) bool
	config func(r reader) (image.Config, error)
	decode func(r reader) (image.Image, error)
	cost   func(content []byte, m color.Model) int64 // octets for one point while it is decoded
}

func (f format) Name() string { return f.name }

func (f format) Match(head []byte, _ unpack.Content) bool { return f.match(head) }

func (f format) Open(w *unpack.Walk, at int, c unpack.Content) error {
	content := c.Bytes()
	frames := [][]byte{content}
	if f.name == "gif" {
		frames = gifFrames(content)
	}
	for _, frame := range frames {
		if err := w.Check(); err != nil {
			return err
		}
		img, err := f.read(w, at, frame)
		if err != nil { // a picture that cannot be read is not a danger as a broken archive is
			w.Sign(at, unpack.Unseen, err.Error())
		}
		if img == nil {
			continue
		}
		for _, text := range Codes(img, w.Check) {
			for _, uri := range links(text) {
				w.Link(at, unpack.Link{URI: uri, Where: "qr"})
			}
		}
	}
	return nil
}

// read decodes a picture; nil where it is too small for a code, or so large that it is not looked at, which is told.
func (f format) read(w *unpack.Walk, at int, content []byte) (image.Image, error) {
	cfg, err := f.config(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	points := int64(cfg.Width) * int64(cfg.Height)
	switch {
	case cfg.Width < leastSide || cfg.Height < leastSide:
		return nil, nil
	case cfg.Width > MostSide || cfg.Height > MostSide || points > MostPoints || points*f.cost(content, cfg.ColorModel) > mostOctets:
		w.Sign(at, unpack.Unseen, fmt.Sprintf("%d x %d points", cfg.Width, cfg.Height))
		return nil, nil
	}
	img, err := f.decode(bytes.NewReader(content))
	if img != nil && img.Bounds().Dx() >= leastSide && img.Bounds().Dy() >= leastSide {
		return img, nil // what is cut off may have its codes before
	}
	return nil, err
}

func magic(m string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(m)) }
}

func isWebP(head []byte) bool {
	return len(head) > 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP"
}

// pngCost: a point is decoded to four octets, or eight.
func pngCost(_ []byte, m color.Model) int64 {
	switch m {
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	case color.GrayModel:
		return 1
	}
	return 4
}

// jpegCost: a progressive one keeps four octets for each component until its end.
func jpegCost(content []byte, m color.Model) int64 {
	for i := 2; i+4 <= len(content) && content[i] == 0xff; {
		switch marker := content[i+1]; {
		case marker == 0xff:
			i++
			continue
		case marker == 0xc2:
			return 16
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc, marker == 0xda:
			return 4
		}
		i += 2 + int(binary.BigEndian.Uint16(content[i+2:]))
	}
	return 16
}

var errGIF = errors.New("cut off")

// gifFrames takes the first frames of an animation apart, each a picture of its own: the decoder has all frames or the first.
func gifFrames(b []byte) [][]byte {
	n := 13
	if len(b) < n {
		return [][]byte{b}
	}
	if b[10]&0x80 != 0 {
		n += 3 << (b[10]&7 + 1)
	}
	if len(b) < n {
		return [][]byte{b}
	}
	head, rest := b[:n], b[n:]
	var out [][]byte
	for len(rest) > 0 && len(out) < mostFrames {
		size, picture, err := gifBlock(rest)
		if picture {
			frame := append(append(append(make([]byte, 0, len(head)+size+1), head...), rest[:size]...), ';')
			out = append(out, frame)
		}
		if err != nil {
			break
		}
		rest = rest[size:]
	}
	if out == nil {
		return [][]byte{b}
	}
	return out
}

// gifBlock measures the block at the beginning of b.
func gifBlock(b []byte) (size int, picture bool, err error) {
	i := 0
	switch b[0] {
	case 0x21: // an extension
		i = 2
	case 0x2c:
		picture = true
		if len(b) < 11 {
			return len(b), false, errGIF
		}
		i = 10
		if b[9]&0x80 != 0 {
			i += 3 << (b[9]&7 + 1)
		}
		i++
	default: // the end, or what is none
		return len(b), false, errGIF
	}
	for {
		if i >= len(b) {
			return len(b), picture, errGIF
		}
		if b[i] == 0 {
			return i + 1, picture, nil
		}
		i += 1 + int(b[i])
	}
}
