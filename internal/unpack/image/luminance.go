package image

import (
	"image"
	"image/color"
	"io"

	"github.com/makiuchi-d/gozxing"
)

// reader is what decoders read from.
type reader = io.Reader

// grey is a picture in shades of grey, as it looks on white.
type grey struct {
	w, h int
	at   []byte
}

// greyOf makes a picture grey; of a large one each second point.
func greyOf(img image.Image) *grey {
	b := img.Bounds()
	step := 1
	for (b.Dx()/step)*(b.Dy()/step) > mostLooked {
		step++
	}
	g := &grey{w: b.Dx() / step, h: b.Dy() / step}
	g.at = make([]byte, g.w*g.h)
	line := lineOf(img)
	for y := range g.h {
		line(g.at[y*g.w:(y+1)*g.w], b.Min.X, b.Min.Y+y*step, step)
	}
	return g
}

// lineOf reads points of a line, the kinds that decoders make without a call for each point.
func lineOf(img image.Image) func(out []byte, x, y, step int) {
	switch img := img.(type) {
	case *image.YCbCr:
		return func(out []byte, x, y, step int) {
			for i := range out {
				out[i] = img.Y[img.YOffset(x+i*step, y)]
			}
		}
	case *image.Gray:
		return func(out []byte, x, y, step int) {
			for i := range out {
				out[i] = img.Pix[img.PixOffset(x+i*step, y)]
			}
		}
	case *image.Paletted:
		var shades [256]byte
		for i, c := range img.Palette {
			shades[i&255] = shade(c)
		}
		return func(out []byte, x, y, step int) {
			for i := range out {
				out[i] = shades[img.Pix[img.PixOffset(x+i*step, y)]]
			}
		}
	case *image.NRGBA:
		return func(out []byte, x, y, step int) {
			for i := range out {
				p := img.Pix[img.PixOffset(x+i*step, y):]
				out[i] = onWhite((uint32(p[0])*306+uint32(p[1])*601+uint32(p[2])*117)>>10, uint32(p[3]))
			}
		}
	case *image.RGBA:
		return func(out []byte, x, y, step int) {
			for i := range out {
				p := img.Pix[img.PixOffset(x+i*step, y):]
				out[i] = byte((uint32(p[0])*306+uint32(p[1])*601+uint32(p[2])*117)>>10 + 255 - uint32(p[3]))
			}
		}
	}
	return func(out []byte, x, y, step int) {
		for i := range out {
			out[i] = shade(img.At(x+i*step, y))
		}
	}
}

func onWhite(l, alpha uint32) byte { return byte((l*alpha + 255*(255-alpha)) / 255) }

// shade is how light a colour is on white.
func shade(c color.Color) byte {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return onWhite((uint32(n.R)*306+uint32(n.G)*601+uint32(n.B)*117)>>10, uint32(n.A))
}

// The methods of gozxing.LuminanceSource.
func (g *grey) GetRow(y int, row []byte) ([]byte, error) {
	return append(row[:0], g.at[y*g.w:(y+1)*g.w]...), nil
}
func (g *grey) GetMatrix() []byte       { return g.at }
func (g *grey) GetWidth() int           { return g.w }
func (g *grey) GetHeight() int          { return g.h }
func (g *grey) IsCropSupported() bool   { return false }
func (g *grey) IsRotateSupported() bool { return false }
func (g *grey) Crop(_, _, _, _ int) (gozxing.LuminanceSource, error) {
	return nil, gozxing.NewNotFoundException()
}
func (g *grey) Invert() gozxing.LuminanceSource { return g }
func (g *grey) RotateCounterClockwise() (gozxing.LuminanceSource, error) {
	return nil, gozxing.NewNotFoundException()
}
func (g *grey) RotateCounterClockwise45() (gozxing.LuminanceSource, error) {
	return nil, gozxing.NewNotFoundException()
}
func (g *grey) String() string { return "grey" }

// local is what is black beside what is around it.
func (g *grey) local() *gozxing.BitMatrix {
	m, err := gozxing.NewHybridBinarizer(g).GetBlackMatrix()
	if err != nil {
		return nil
	}
	return m
}

// global is what is black by one threshold for all, that which parts the shades best (Otsu).
func (g *grey) global() *gozxing.BitMatrix {
	var counts [256]float64
	total, sum := float64(len(g.at)), 0.0
	for _, l := range g.at {
		counts[l]++
		sum += float64(l)
	}
	best, threshold, below, sumBelow := -1.0, 127, 0.0, 0.0
	for i := range counts {
		below += counts[i]
		sumBelow += counts[i] * float64(i)
		if below == 0 || below == total {
			continue
		}
		d := sumBelow/below - (sum-sumBelow)/(total-below)
		if apart := below * (total - below) * d * d; apart > best {
			best, threshold = apart, i
		}
	}
	m, err := gozxing.NewBitMatrix(g.w, g.h)
	if err != nil {
		return nil
	}
	for i, l := range g.at {
		if int(l) <= threshold {
			m.Set(i%g.w, i/g.w)
		}
	}
	return m
}
