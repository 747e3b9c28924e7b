package image

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/bmp"

	"gatepost/internal/unpack"
)

// code is a code that qrencode made: an encoder that shares nothing with the reader.
func code(t testing.TB, text string, options ...string) image.Image {
	t.Helper()
	out, err := exec.Command("qrencode", append(options, "-t", "PNG", "-o", "-", text)...).Output()
	if err != nil {
		t.Fatalf("qrencode, of the Debian package of that name: %v", err)
	}
	img, err := png.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func never() error { return nil }

// canvas is a picture of one colour.
func canvas(w, h int, c color.Color) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return out
}

func put(on *image.NRGBA, img image.Image, x, y int) {
	draw.Draw(on, img.Bounds().Sub(img.Bounds().Min).Add(image.Pt(x, y)), img, img.Bounds().Min, draw.Src)
}

// turned is a picture turned by an angle, on white.
func turned(img image.Image, degrees float64) image.Image {
	b := img.Bounds()
	n := int(math.Hypot(float64(b.Dx()), float64(b.Dy()))) + 2
	out := canvas(n, n, color.White)
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	for y := range n {
		for x := range n {
			dx, dy := float64(x-n/2), float64(y-n/2)
			p := image.Pt(int(math.Round(dx*cos+dy*sin))+b.Dx()/2, int(math.Round(dy*cos-dx*sin))+b.Dy()/2).Add(b.Min)
			if p.In(b) {
				out.Set(x, y, img.At(p.X, p.Y))
			}
		}
	}
	return out
}

func changed(img image.Image, f func(x, y int, c color.NRGBA) color.NRGBA) *image.NRGBA {
	b := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			out.SetNRGBA(x, y, f(x, y, color.NRGBAModel.Convert(img.At(x+b.Min.X, y+b.Min.Y)).(color.NRGBA)))
		}
	}
	return out
}

// screen is a picture as of a screen: lines of what could be text, and a code in it.
func screen(w, h int, img image.Image) image.Image {
	out := canvas(w, h, color.NRGBA{245, 245, 248, 255})
	r := rand.New(rand.NewPCG(1, 2))
	for y := 20; y < h-20; y += 18 {
		for x := 20; x < w-20; x += 3 + r.IntN(9) {
			draw.Draw(out, image.Rect(x, y, x+2+r.IntN(3), y+4+r.IntN(8)), image.NewUniform(color.NRGBA{40, 40, 40, 255}), image.Point{}, draw.Src)
		}
	}
	put(out, img, w/2, h/3)
	return out
}

// TestCodes: codes are read as the cameras of telephones read them.
func TestCodes(t *testing.T) {
	const link = "https://example.org/pay?invoice=4711"
	plain := code(t, link)
	r := rand.New(rand.NewPCG(3, 4))
	two := canvas(800, 400, color.White)
	put(two, code(t, "https://one.example/"), 20, 20)
	put(two, code(t, "https://two.example/", "-s", "5"), 420, 120)
	for name, c := range map[string]struct {
		img  image.Image
		want []string
	}{
		"plain":       {plain, []string{link}},
		"points":      {code(t, link, "-s", "1", "-m", "4"), []string{link}},
		"no margin":   {code(t, link, "-m", "1", "-s", "4"), []string{link}},
		"large":       {code(t, link, "-s", "30"), []string{link}},
		"much":        {code(t, link+strings.Repeat("x", 900)), []string{link + strings.Repeat("x", 900)}},
		"high":        {code(t, link, "-l", "H", "-s", "4"), []string{link}},
		"dark":        {changed(plain, func(_, _ int, c color.NRGBA) color.NRGBA { return color.NRGBA{255 - c.R, 255 - c.G, 255 - c.B, 255} }), []string{link}},
		"red on blue": {code(t, link, "--foreground=900000", "--background=B0C0FF"), []string{link}},
		"on nothing":  {changed(plain, func(_, _ int, c color.NRGBA) color.NRGBA { return color.NRGBA{0, 0, 0, 255 - c.R} }), []string{link}},
		"pale": {changed(plain, func(_, _ int, c color.NRGBA) color.NRGBA {
			return color.NRGBA{200 + c.R/8, 200 + c.R/8, 200 + c.R/8, 255}
		}), []string{link}},
		"light falls": {changed(code(t, link, "-s", "6"), func(x, _ int, c color.NRGBA) color.NRGBA {
			v := byte(int(c.R)*(100+x/2)/512 + x/4)
			return color.NRGBA{v, v, v, 255}
		}), []string{link}},
		"turned 90":    {turned(code(t, link, "-s", "6"), 90), []string{link}},
		"turned 180":   {turned(code(t, link, "-s", "6"), 180), []string{link}},
		"turned 17":    {turned(code(t, link, "-s", "6"), 17), []string{link}},
		"turned 45":    {turned(code(t, link, "-s", "6"), 45), []string{link}},
		"on a screen":  {screen(1280, 800, code(t, link, "-s", "4")), []string{link}},
		"large screen": {screen(2400, 1800, code(t, link, "-s", "8")), []string{link}},
		"two":          {two, []string{"https://one.example/", "https://two.example/"}},
		"noise": {changed(code(t, link, "-s", "6", "-l", "H"), func(_, _ int, c color.NRGBA) color.NRGBA {
			v := byte(max(0, min(255, int(c.R)*2/3+r.IntN(85))))
			return color.NRGBA{v, v, v, 255}
		}), []string{link}},
		"nothing":  {canvas(300, 300, color.White), nil},
		"no codes": {screen(800, 600, canvas(50, 50, color.Black)), nil},
	} {
		got := Codes(c.img, never)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		if text, ok := library(t, c.img); ok && !slices.Contains(got, text) {
			t.Errorf("%s: gozxing reads %q, and this %q", name, text, got)
		}
	}
}

// library reads a code with gozxing's own search for corners.
func library(t *testing.T, img image.Image) (string, bool) {
	t.Helper()
	bits, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	r, err := qrcode.NewQRCodeReader().Decode(bits, nil)
	if err != nil {
		return "", false
	}
	return r.GetText(), true
}

// look opens content as the process does.
func look(t testing.TB, content []byte) unpack.Object {
	t.Helper()
	w := unpack.NewWalk(context.Background(), unpack.Limits{Entries: 10, Depth: 3, Octets: 100 << 20, Object: 100 << 20}, func([]byte) string { return "" }, Formats())
	if err := w.Item(unpack.Item{Name: "picture"}, content); err != nil {
		t.Fatal(err)
	}
	return w.Report().Objects[0]
}

func encoded(t testing.TB, write func(b *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFormats: each kind of picture is opened, and a link in its code is one of the object.
func TestFormats(t *testing.T) {
	img := code(t, "https://example.org/", "-s", "5")
	palette := image.NewPaletted(img.Bounds(), color.Palette{color.White, color.Black})
	draw.Draw(palette, palette.Bounds(), img, image.Point{}, draw.Src)
	blank := image.NewPaletted(img.Bounds(), color.Palette{color.White, color.Black})
	for name, content := range map[string][]byte{
		"png":  encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, img) }),
		"jpeg": encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, img, &jpeg.Options{Quality: 60}) }),
		"bmp":  encoded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, img) }),
		"gif": encoded(t, func(b *bytes.Buffer) error {
			return gif.EncodeAll(b, &gif.GIF{Image: []*image.Paletted{blank, blank, palette}, Delay: []int{1, 1, 1}})
		}),
	} {
		o := look(t, content)
		if o.Format != name || len(o.Links) != 1 || o.Links[0] != (unpack.Link{URI: "https://example.org/", Where: "qr"}) || len(o.Signs) != 0 {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestBounds: what is too large is not decoded, and that is told; so is what cannot be read.
func TestBounds(t *testing.T) {
	big := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, image.NewGray(image.Rect(0, 0, 5000, 100))) })
	if o := look(t, big); len(o.Signs) != 1 || o.Signs[0] != (unpack.Sign{Kind: unpack.Unseen, Text: "5000 x 100 points"}) {
		t.Errorf("%+v", o)
	}
	small := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, image.NewGray(image.Rect(0, 0, 20, 4000))) })
	if o := look(t, small); len(o.Signs)+len(o.Links) != 0 {
		t.Errorf("%+v", o)
	}
	cutOff := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, image.NewGray(image.Rect(0, 0, 300, 300))) })
	if o := look(t, cutOff[:40]); len(o.Signs) != 1 || o.Signs[0].Kind != unpack.Unseen {
		t.Errorf("%+v", o)
	}
	claims := bytes.Clone(big) // a header that says 4096 x 4096 with nothing behind it
	copy(claims[16:], "\x00\x00\x10\x00\x00\x00\x10\x00")
	if o := look(t, claims[:60]); len(o.Signs) != 1 || o.Signs[0].Kind != unpack.Unseen {
		t.Errorf("%+v", o)
	}
}

// TestHostile: pictures that are full of corners are read in bounded work. Cubic work in them would take hours.
func TestHostile(t *testing.T) {
	tile := func(size, module int) *image.Gray {
		out := image.NewGray(image.Rect(0, 0, size, size))
		for y := range size {
			for x := range size {
				u, v := x/module%8, y/module%8
				ring := max(max(3-u, u-3), max(3-v, v-3))
				if ring == 2 || u == 7 || v == 7 {
					out.SetGray(x, y, color.Gray{255})
				}
			}
		}
		return out
	}
	r := rand.New(rand.NewPCG(5, 6))
	noise := image.NewGray(image.Rect(0, 0, 700, 700))
	for i := range noise.Pix {
		noise.Pix[i] = byte(r.IntN(2) * 255)
	}
	for name, img := range map[string]image.Image{"corners": tile(1024, 1), "large corners": tile(1024, 3), "huge corners": tile(2000, 20), "noise": noise} {
		if got := Codes(img, never); len(got) > mostCodes {
			t.Errorf("%s: %d codes", name, len(got))
		}
	}
	count := 0
	Codes(tile(500, 4), func() error {
		if count++; count > 3 {
			return unpack.ErrLimit
		}
		return nil
	})
	if count > 8 { // each reading ends at once
		t.Errorf("looked on after the end of the time: %d", count)
	}
}

// TestLinks: of the text of a code its links are taken.
func TestLinks(t *testing.T) {
	for _, c := range [][2]string{
		{"https://example.org/x", "https://example.org/x"},
		{" example.org/x\n", "example.org/x"},
		{"WIFI:S:net;T:WPA;P:secret;;", ""},
		{"BEGIN:VCARD\nVERSION:3.0\nN:Doe\nURL:https://example.org/\nEND:VCARD", "https://example.org/"},
		{"pay here: HTTPS://EXAMPLE.ORG/a now", "HTTPS://EXAMPLE.ORG/a"},
		{"BCD\n002\n1\nSCT\n\nName\nDE00", ""},
		{"12345", ""},
	} {
		if got := strings.Join(links(c[0]), " "); got != c[1] {
			t.Errorf("%q: %q", c[0], got)
		}
	}
}

// FuzzFormats: no picture breaks the process, whatever its kind says.
func FuzzFormats(f *testing.F) {
	img := code(f, "https://example.org/", "-s", "2", "-m", "1")
	f.Add(encoded(f, func(b *bytes.Buffer) error { return png.Encode(b, img) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return gif.Encode(b, img, nil) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, img, nil) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return bmp.Encode(b, img) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o := look(t, b); len(o.Links) > mostCodes*mostFrames {
			t.Errorf("%d links", len(o.Links))
		}
		for _, frame := range gifFrames(b) {
			if len(frame) > len(b)+1 {
				t.Errorf("a frame of %d octets of %d", len(frame), len(b))
			}
		}
	})
}

// FuzzCodes: no picture of black and white points breaks the reading, and what is read is text.
func FuzzCodes(f *testing.F) {
	img := code(f, "https://example.org/", "-s", "1", "-m", "1")
	bits := make([]byte, 0, 400)
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			bits = append(bits, color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y/255)
		}
	}
	f.Add(bits, byte(img.Bounds().Dx()))
	f.Fuzz(func(t *testing.T, b []byte, width byte) {
		b = b[:min(len(b), 1<<12)]
		w := int(width)%180 + 21
		g := image.NewGray(image.Rect(0, 0, w, max(len(b)/w, 1)))
		for i := range g.Pix {
			if i < len(b) {
				g.Pix[i] = b[i] & 1 * 255
			}
		}
		big := image.NewGray(image.Rect(0, 0, 3*w, 3*g.Bounds().Dy()))
		for i := range big.Pix {
			big.Pix[i] = g.Pix[i/(3*w)/3*w+i%(3*w)/3]
		}
		for _, text := range append(Codes(g, never), Codes(big, never)...) {
			if strings.ToValidUTF8(text, "") != text {
				t.Errorf("%q", text)
			}
		}
	})
}

func BenchmarkCodes(b *testing.B) {
	for _, side := range []int{300, 1000, 2000} {
		img := screen(side, side, code(b, "https://example.org/", "-s", "3"))
		b.Run(fmt.Sprint(side), func(b *testing.B) {
			b.SetBytes(int64(side * side))
			for b.Loop() {
				Codes(img, never)
			}
		})
	}
}
