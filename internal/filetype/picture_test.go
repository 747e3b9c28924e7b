package filetype

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"strings"
	"testing"
)

// drawn is a picture with some points in it.
func drawn(w, h int) *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White, color.Transparent})
	for i := range m.Pix {
		m.Pix[i] = byte(i*i) % 3
	}
	return m
}

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(w, h)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gifOf(t testing.TB, frames, w, h int) []byte {
	t.Helper()
	all := &gif.GIF{}
	for range frames {
		all.Image, all.Delay = append(all.Image, drawn(w, h)), append(all.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chunk is a chunk of a PNG.
func chunk(kind, content string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	b = append(b, kind+content...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:])))
}

// before puts something in front of the chunk of a kind.
func before(b []byte, kind, more string) []byte {
	i := bytes.Index(b, []byte(kind)) - 4
	return append(append(append([]byte(nil), b[:i]...), more...), b[i:]...)
}

// withPoints is a PNG whose points are what is said, whether they can be unpacked or not.
func withPoints(b []byte, points string) []byte {
	i := bytes.Index(b, []byte("IDAT")) - 4
	return []byte(string(b[:i]) + chunk("IDAT", points) + chunk("IEND", ""))
}

// TestOnlySmallPicture: what programs write is known, and whatever holds something more is not taken for it.
func TestOnlySmallPicture(t *testing.T) {
	dot, line, logo := gifOf(t, 1, 1, 1), pngOf(t, 600, 2), pngOf(t, 20, 20)
	zip := string(zipped(t, "evil.js"))
	block := func(s string) string { return string([]byte{byte(len(s))}) + s }
	for name, c := range map[string]struct {
		content []byte
		want    bool
	}{
		"a point": {dot, true}, "a line": {line, true}, "a sign": {logo, true}, "a column": {gifOf(t, 1, 3, 400), true},
		"colours, sizes, a time":   {before(logo, "IDAT", chunk("gAMA", "\x00\x01\x02\x03")+chunk("pHYs", "\x00\x00\x00\x01\x00\x00\x00\x01\x01")+chunk("tIME", "\x07\xe0\x01\x01\x01\x01\x01")), true},
		"the common transparent":   {[]byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"), true},
		"room for a code":          {pngOf(t, 21, 21), false},
		"room for a code, GIF":     {gifOf(t, 1, 21, 30), false},
		"nothing":                  {nil, false},
		"a zip behind a GIF":       {append(append([]byte(nil), dot...), zip...), false},
		"a zip behind a PNG":       {append(append([]byte(nil), logo...), zip...), false},
		"one octet behind":         {append(append([]byte(nil), dot...), 0), false},
		"a comment in a GIF":       {[]byte(strings.Replace(string(dot), "\x2c\x00", "\x21\xfe"+block(zip[:min(len(zip), 255)])+"\x00\x2c\x00", 1)), false},
		"an application in a GIF":  {[]byte(strings.Replace(string(dot), "\x2c\x00", "\x21\xff\x0bXMP DataXMP\x04MZ\x90\x00\x00\x2c\x00", 1)), false},
		"an animation":             {gifOf(t, 2, 10, 10), false},
		"a picture beside another": {append(append(append([]byte(nil), dot[:len(dot)-1]...), dot[13:len(dot)-1]...), 0x3b), false},
		"larger than it says":      {[]byte(strings.Replace(string(dot), "\x2c\x00\x00\x00\x00\x01\x00\x01\x00", "\x2c\x00\x00\x00\x00\x64\x00\x64\x00", 1)), false},
		"the end of a zip in GIF":  {[]byte(strings.Replace(string(dot), "\x00\x3b", block("PK\x05\x06\x00\x00")+"\x00\x3b", 1)), false},
		"a text chunk":             {before(logo, "IDAT", chunk("tEXt", "Comment\x00"+zip)), false},
		"an unknown chunk":         {before(logo, "IDAT", chunk("prVt", "")), false},
		"EXIF":                     {before(logo, "IDAT", chunk("eXIf", "II*\x00")), false},
		"an animated PNG":          {before(logo, "IDAT", chunk("acTL", "\x00\x00\x00\x02\x00\x00\x00\x00")), false},
		"a chunk that is too long": {before(logo, "IDAT", chunk("tIME", zip[:30])), false},
		"a second header":          {before(logo, "IDAT", chunk("IHDR", string(pngOf(t, 100, 100)[16:29]))), false},
		"points in two places":     {before(logo, "IEND", chunk("tIME", "1234567")+chunk("IDAT", "x")), false},
		"no points":                {withPoints(logo, "")[:8+25], false},
		"a wrong sum":              {[]byte(strings.Replace(string(logo), "IEND\xae", "IEND\xaf", 1)), false},
		"a zip as points":          {withPoints(logo, zip), false},
		"a PDF as points":          {withPoints(logo, "%PDF-1.4\n"), false},
		"a page as points":         {withPoints(logo, "<script src=//evil.example/x>"), false},
	} {
		if got := OnlySmallPicture(c.content); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, b := range [][]byte{dot, line, logo} {
		for n := range b {
			if OnlySmallPicture(b[:n]) {
				t.Errorf("cut after %d of %d octets it is one", n, len(b))
			}
		}
	}
	if n := testing.AllocsPerRun(20, func() { OnlySmallPicture(logo); OnlySmallPicture(dot) }); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// FuzzOnlySmallPicture: what is taken for a small picture is one to the decoders too, and ends where they say.
func FuzzOnlySmallPicture(f *testing.F) {
	for _, b := range [][]byte{gifOf(f, 1, 1, 1), gifOf(f, 2, 4, 4), pngOf(f, 20, 30), pngOf(f, 300, 1)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !OnlySmallPicture(b) {
			return
		}
		c, format, err := image.DecodeConfig(bytes.NewReader(b))
		if format == "png" && err != nil {
			return // a combination of depth and colour that is none: nobody shows it
		}
		if err != nil || min(c.Width, c.Height) >= leastCode {
			t.Fatalf("%d x %d, %q, %v", c.Width, c.Height, format, err)
		}
		if OnlySmallPicture(append(b[:len(b):len(b)], 0)) || OnlySmallPicture(b[:len(b)-1]) {
			t.Fatal("with an octet more or less it is one too")
		}
	})
}
