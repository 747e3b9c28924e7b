package image

import (
	"cmp"
	"image"
	"math"
	"slices"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

const (
	mostCorners = 120 // patterns that may be corners of codes, in one reading of a picture
	mostTries   = 60  // threes of them that are read
	mostCodes   = 16
)

// Codes are the texts of the QR codes in a picture: several, turned, and light on dark too. What it costs follows from the size of
// the picture and the bounds above. check ends it early.
func Codes(img image.Image, check func() error) []string {
	g := greyOf(img)
	var out []string
	for _, black := range [...]func() *gozxing.BitMatrix{g.local, g.global} {
		m := black()
		for range 2 {
			if m == nil || check() != nil {
				return out
			}
			for _, text := range read(m, check) {
				if !slices.Contains(out, text) && len(out) < mostCodes {
					out = append(out, text)
				}
			}
			m.FlipAll()
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// corner is a pattern that may be one of the three corners of a code.
type corner struct {
	x, y, module float64
	seen         int
}

// read reads the codes of a picture that is black and white.
func read(m *gozxing.BitMatrix, check func() error) (out []string) {
	corners := find(m)
	threes := threes(corners)
	used := make([]bool, len(corners))
	for i, t := range threes {
		if i >= mostTries || check() != nil {
			break
		}
		if used[t.top] || used[t.right] || used[t.left] {
			continue
		}
		if text, ok := decode(m, &corners[t.top], &corners[t.right], &corners[t.left]); ok {
			out = append(out, text)
			used[t.top], used[t.right], used[t.left] = true, true, true
		}
	}
	return out
}

// decode reads one code. What breaks in the library is a code that cannot be read.
func decode(m *gozxing.BitMatrix, top, right, left *corner) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	pattern := func(c *corner) *detector.FinderPattern { return detector.NewFinderPattern1(c.x, c.y, c.module) }
	found, err := detector.NewDetector(m).ProcessFinderPatternInfo(detector.NewFinderPatternInfo(pattern(left), pattern(top), pattern(right)))
	if err != nil {
		return "", false
	}
	result, err := decoder.NewDecoder().Decode(found.GetBits(), nil)
	if err != nil {
		return "", false
	}
	return strings.ToValidUTF8(result.GetText(), "\uFFFD"), true
}

// three are the places of three corners: at the right angle, and behind it clockwise and counter-clockwise.
type three struct {
	top, right, left int
	fault            float64
}

// threes are the corners that may belong together, the likeliest first: alike in size, and two sides alike at a right angle.
func threes(c []corner) []three {
	var out []three
	for i := range c {
		for j := range c {
			dx, dy := c[j].x-c[i].x, c[j].y-c[i].y
			side := math.Hypot(dx, dy)
			if i == j || !alike(c[i].module, c[j].module) || side < 10*c[i].module || side > 200*c[i].module {
				continue
			}
			for k := range c {
				ex, ey := c[k].x-c[i].x, c[k].y-c[i].y
				// Where the third corner is, if the second is clockwise from it: turned by a quarter, y going down.
				off := math.Hypot(ex+dy, ey-dx) / side
				if k == i || k == j || off > 0.35 || !alike(c[i].module, c[k].module) {
					continue
				}
				apart := math.Abs(c[i].module-c[j].module) + math.Abs(c[i].module-c[k].module)
				out = append(out, three{top: i, right: j, left: k, fault: off + apart/c[i].module})
				if len(out) >= 64*mostTries {
					slices.SortStableFunc(out, func(a, b three) int { return cmp.Compare(a.fault, b.fault) })
					out = out[:mostTries]
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b three) int { return cmp.Compare(a.fault, b.fault) })
	return out
}

func alike(a, b float64) bool { return a < 1.6*b && b < 1.6*a }

// find looks for the patterns of corners: dark, light, dark, light, dark in 1:1:3:1:1, whatever way they are crossed.
func find(m *gozxing.BitMatrix) []corner {
	var found []corner
	w, h := m.GetWidth(), m.GetHeight()
	step := 1
	if h > 400 {
		step = 2
	}
	for y := 0; y < h; y += step {
		var runs [5]int
		dark, n := false, 0
		for x := 0; x <= w; x++ {
			if b := x < w && m.Get(x, y); x == w || b != dark {
				copy(runs[:], runs[1:])
				runs[4] = n
				if dark && ratio(&runs) {
					center := float64(x) - float64(runs[4]) - float64(runs[3]) - float64(runs[2])/2
					found = cross(m, found, center, y, runs[2])
				}
				dark, n = b, 0
			}
			n++
		}
	}
	slices.SortStableFunc(found, func(a, b corner) int { return b.seen - a.seen })
	return found[:min(len(found), mostCorners)]
}

// ratio reports whether five runs are as of a corner.
func ratio(runs *[5]int) bool {
	total := 0
	for _, n := range runs {
		if n == 0 {
			return false
		}
		total += n
	}
	if total < 7 {
		return false
	}
	module := float64(total) / 7
	near := func(n int, want float64) bool { return math.Abs(float64(n)-want*module) < want*module/2+0.3 }
	return near(runs[0], 1) && near(runs[1], 1) && near(runs[2], 3) && near(runs[3], 1) && near(runs[4], 1)
}

// mostFound bounds the list while it grows: what comes again is looked for in it.
const mostFound = 4 * mostCorners

// cross looks at the same pattern from above, and once more across, and takes it in.
func cross(m *gozxing.BitMatrix, found []corner, x float64, y, middle int) []corner {
	cy, tall, ok := through(m, int(x), y, 0, 1, 2*middle)
	if !ok {
		return found
	}
	cx, wide, ok := through(m, int(x), int(cy), 1, 0, 2*middle)
	if !ok || !alike(tall, wide) {
		return found
	}
	c := corner{cx, cy, (tall + wide) / 14, 1}
	for i := range found {
		f := &found[i]
		if math.Abs(f.x-c.x) <= 2*f.module && math.Abs(f.y-c.y) <= 2*f.module && alike(f.module, c.module) {
			n := float64(f.seen)
			f.x, f.y, f.module, f.seen = (f.x*n+c.x)/(n+1), (f.y*n+c.y)/(n+1), (f.module*n+c.module)/(n+1), f.seen+1
			return found
		}
	}
	if len(found) == mostFound { // what was seen once only gives way
		for i := range found {
			if found[i].seen == 1 {
				found[i] = c
				break
			}
		}
		return found
	}
	return append(found, c)
}

// through measures a corner from a point in its middle in a direction and against it: where its center is, and how wide it is.
func through(m *gozxing.BitMatrix, x, y, dx, dy, most int) (center, width float64, ok bool) {
	var runs [5]int
	w, h := m.GetWidth(), m.GetHeight()
	walk := func(sign int) (middle, end int) {
		px, py, at := x, y, 0
		for state := 0; state < 3; state++ {
			n := 0
			for px >= 0 && px < w && py >= 0 && py < h && m.Get(px, py) == (state != 1) && n <= most {
				px, py, n = px+sign*dx, py+sign*dy, n+1
			}
			if n > most {
				return 0, 0
			}
			switch {
			case state == 0:
				middle = n
				runs[2] += n
			case sign < 0:
				runs[2-state] = n
			default:
				runs[2+state] = n
			}
			at += n
		}
		return middle, at
	}
	back, end := walk(-1)
	if end == 0 {
		return 0, 0, false
	}
	ahead, end := walk(1)
	if end == 0 {
		return 0, 0, false
	}
	runs[2]-- // the point itself was counted twice
	if !ratio(&runs) {
		return 0, 0, false
	}
	at := float64(x*dx + y*dy)
	return at + float64(ahead-back)/2 + 0.5, float64(runs[0] + runs[1] + runs[2] + runs[3] + runs[4]), true
}

// links are the links of a code's text: all of it, where it is one, or those that stand in it, as in a business card.
func links(text string) []string {
	text = strings.TrimSpace(text)
	if len(text) > 3 && len(text) <= 4096 && !strings.ContainsAny(text, " \r\n") && !strings.HasPrefix(text, "WIFI:") && strings.ContainsAny(text, ".:") {
		return []string{text}
	}
	var out []string
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == ';' || r == '<' || r == '>' || r == '"' }) {
		lower := strings.ToLower(f)
		i := strings.Index(lower, "http://")
		if j := strings.Index(lower, "https://"); i < 0 || j >= 0 && j < i {
			i = j
		}
		if i >= 0 && len(out) < mostCodes {
			out = append(out, f[i:min(len(f), i+4096)])
		}
	}
	return out
}
