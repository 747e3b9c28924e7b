package console

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatepost/gateway"
)

// How much of a text is shown before the rest is behind a click, and in a row of a table.
const (
	shownRunes = 400
	rowRunes   = 160
)

// plain makes a text of strangers safe to look at: what has no shape, or moves other text, is shown by its name. That it is no
// markup is html/template's business.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '\n' || c == '\t' || !hidden(c):
			b.WriteRune(c)
		case c < 0x20:
			b.WriteRune(0x2400 + c) // its picture
		default:
			fmt.Fprintf(&b, "⟨U+%04X⟩", c)
		}
	}
	return b.String()
}

// hidden reports what a reader does not see: controls, marks of direction, joiners and tags without a shape.
func hidden(c rune) bool {
	switch {
	case c < 0x20, c >= 0x7f && c < 0xa0, c == 0x00ad, c == 0x061c, c == 0x180e, c >= 0x200b && c <= 0x200f, c >= 0x2028 && c <= 0x202e,
		c >= 0x2060 && c <= 0x206f, c == 0xfeff, c >= 0xfff9 && c <= 0xfffb, c >= 0xe0000 && c <= 0xe0fff:
		return true
	}
	return false
}

// cutText cuts to a number of characters.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	seen := 0
	for i := range s {
		if seen == n {
			return s[:i] + "…"
		}
		seen++
	}
	return s
}

// long is a text with the part that is shown at once.
type long struct {
	Head, Whole string
	More        bool
	Length      int
}

func longText(s string) long {
	s = plain(s)
	l := long{Head: cutText(s, shownRunes), Whole: s}
	if l.More = l.Head != s; l.More {
		l.Length = utf8.RuneCountInString(s)
	}
	return l
}

// functions are what templates call.
func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"diff": diffLines, "add": func(a, b int) int { return a + b }, "stepword": stepWord, "ago": func(now, then time.Time) string { return agoText(now.Sub(then)) },
		"adder": func(v *view, l entryList, action string) map[string]any {
			return map[string]any{"View": v, "List": l, "Action": action, "Tries": l.Tries()}
		},
		"words": func(s string) []string { return strings.Split(s, "|") }, "start": capital,
		"label": func(s string) string { return plain(strings.ReplaceAll(s, "_", " ")) },
		"reason": func(r gateway.Reason) string {
			if r == "" {
				return "The sum of points"
			}
			return reasonText(r)
		},
		"nothing": func(head, text string) problem { return problem{Head: head, Text: text} },
		"asset":   func(name string) string { return a.names[name] },
		"long":    longText, "plain": plain, "row": func(s string) string { return cutText(strings.Join(strings.Fields(plain(s)), " "), rowRunes) },
		"clock": func(t time.Time) string { return t.Local().Format("15:04:05") },
		"when":  func(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") },
		"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"until": func(t time.Time) string { return untilText(time.Until(t)) },
		"took":  tookText, "points": pointsText, "score": number, "size": gateway.ShowSize, "count": countText, "initials": initials, "source": sourceText, "f1": func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) },
		"today": func(t time.Time) bool {
			y, m, d := t.Local().Date()
			Y, M, D := time.Now().Date()
			return y == Y && m == M && d == D
		},
	}
}

// number shows one decimal with a minus of its own.
func number(f float64) string {
	if f = math.Round(f*10) / 10; f == 0 {
		return "0"
	}
	return strings.Replace(strconv.FormatFloat(f, 'f', 1, 64), "-", "−", 1)
}

func pointsText(f float64) string {
	if n := number(f); f > 0 && n != "0" {
		return "+" + n
	}
	return number(f)
}

// untilText is how long it is until something; the script counts it down in the same words.
func untilText(d time.Duration) string {
	switch s := int(d.Round(time.Second) / time.Second); {
	case s < 1:
		return "now"
	case s < 120:
		return "in " + strconv.Itoa(s) + " s"
	case s < 7200:
		return "in " + strconv.Itoa(s/60) + " min " + strconv.Itoa(s%60) + " s"
	default:
		return "in " + strconv.Itoa((s+1800)/3600) + " h"
	}
}

func tookText(d time.Duration) string {
	switch {
	case d > 0 && d < 50*time.Microsecond:
		return "<0.1 ms"
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return d.Round(time.Second).String()
}

// countText separates thousands.
func countText(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// initials are those of a name, for the button of the account.
func initials(name string) string {
	words := strings.FieldsFunc(plain(name), func(c rune) bool { return strings.ContainsRune(" .-_@", c) })
	out := ""
	for i, w := range words {
		if i == 2 {
			break
		}
		c, _ := utf8.DecodeRuneInString(w)
		out += strings.ToUpper(string(c))
	}
	return out
}

// sentence makes one of an error.
func sentence(s string) string {
	if s = capital(s); !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// capital is a text with a capital at its beginning.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// agoText is how long ago something was, in the unit that people would say.
func agoText(d time.Duration) string {
	for _, u := range [...]struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / u.of); n > 1 {
			return strconv.Itoa(n) + " " + u.name + "s"
		} else if n == 1 {
			return "1 " + u.name
		}
	}
	return "a moment"
}

// sourceText names where an account comes from.
func sourceText(source string) string {
	switch source {
	case "ldap":
		return "directory"
	case "oidc":
		return "issuer"
	}
	return "this host"
}
