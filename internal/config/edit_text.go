package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// keyWord is one word of a path: a key, perhaps with an element of its list.
type keyWord struct {
	name    string
	element string // between [ and ]; "" for none
	add     bool   // []: one that is not there yet
}

// splitKey reads a path.
func splitKey(path string) (words []keyWord, bad *ValueError) {
	const longest = 1024
	wrong := func(what string) ([]keyWord, *ValueError) {
		return nil, &ValueError{Message: what, Instead: `write a key as in thresholds.reject or domain[example.org].route`}
	}
	if path == "" || len(path) > longest || !utf8.ValidString(path) {
		return wrong("is no key")
	}
	for rest := path; ; {
		var w keyWord
		if strings.HasPrefix(rest, `"`) {
			end := skipValue([]byte(rest), 0)
			name, err := strconv.Unquote(rest[:end])
			if err != nil {
				return wrong("has a quote that does not end")
			}
			w.name, rest = name, rest[end:]
		} else {
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if w.name, rest = rest[:end], rest[end:]; !plainKey(w.name) {
				return wrong("has a word that is no key: " + shown(w.name))
			}
		}
		if strings.HasPrefix(rest, "[") {
			element, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return wrong("has a [ without ]")
			}
			w.element, w.add, rest = element, element == "", after
		}
		words = append(words, w)
		switch {
		case rest == "" && len(words) <= maxDepth-2:
			return words, nil
		case rest == "" || len(words) > maxDepth:
			return wrong("is too deep")
		case w.add || rest[0] != '.':
			return wrong("has " + shown(rest) + " behind ]")
		}
		rest = rest[1:]
	}
}

// bareOrQuoted writes a key.
func bareOrQuoted(key string) string {
	if plainKey(key) {
		return key
	}
	return quoted(key)
}

// quoted writes a basic string (TOML, "String").
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// literal writes a value, all in one line.
func literal(value any) (string, *ValueError) { return literalIn(value, 0) }

func literalIn(value any, depth int) (string, *ValueError) {
	if depth > maxDepth/2 {
		return "", &ValueError{Message: "is nested too deep"}
	}
	switch v := value.(type) {
	case Literal:
		if !v.Valid() {
			return "", &ValueError{Message: shown(string(v)) + " is no value", Instead: `write text in double quotes`}
		}
		return strings.TrimSpace(string(v)), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case json.Number:
		return literalIn(Literal(v), depth)
	case float64:
		return decimal(v)
	case string:
		if !utf8.ValidString(v) {
			return "", &ValueError{Message: "is not UTF-8"}
		}
		return quoted(v), nil
	case []string:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return literalIn(list, depth)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			text, bad := literalIn(v[i], depth+1)
			if bad != nil {
				return "", bad
			}
			parts[i] = text
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			text, bad := literalIn(v[key], depth+1)
			if bad != nil {
				return "", bad
			}
			if !utf8.ValidString(key) {
				return "", &ValueError{Message: "has a key that is not UTF-8"}
			}
			parts = append(parts, bareOrQuoted(key)+" = "+text)
		}
		if len(parts) == 0 {
			return "{}", nil
		}
		return "{ " + strings.Join(parts, ", ") + " }", nil
	}
	return "", &ValueError{Message: fmt.Sprintf("has no value that a document can have (%T)", value), Instead: "write text, a number, true, false, or a list"}
}

// decimal writes whole numbers without a point: keys of both kinds take them so.
func decimal(v float64) (string, *ValueError) {
	const exact = 1 << 53
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "", &ValueError{Message: "is not a number"}
	case v == math.Trunc(v) && math.Abs(v) <= exact:
		return strconv.FormatInt(int64(v), 10), nil
	}
	return strconv.FormatFloat(v, 'f', -1, 64), nil
}

// Valid reports whether it is exactly one value, in one line.
func (l Literal) Valid() bool {
	if strings.ContainsAny(string(l), "\n\r") || len(l) > MaxFile {
		return false
	}
	text := "x = " + strings.TrimSpace(string(l))
	var p unstable.Parser
	p.Reset([]byte(text))
	if !p.NextExpression() || p.Expression().Kind != unstable.KeyValue || p.NextExpression() || p.Error() != nil {
		return false
	}
	return skipValue([]byte(text), len("x = ")) == len(text) // no comment behind it
}

// LiteralOf takes what somebody wrote behind an equals sign: a value of TOML, or else text without its quotes.
func LiteralOf(text string) any {
	if l := Literal(text); l.Valid() {
		return l
	}
	return text
}

// ChangeOf is a change as somebody wrote it: KEY=VALUE. ok is false where it has no equals sign.
func ChangeOf(set string) (c Change, ok bool) {
	key, value, ok := CutSet(set)
	if !ok {
		return Change{}, false
	}
	if strings.HasSuffix(key, "[]") {
		return Change{Key: key, Value: ElementOf(value)}, true
	}
	return Change{Key: key, Value: LiteralOf(value)}, true
}

// CutSet cuts KEY=VALUE at the first equals sign that is in no quotes and no brackets of the key.
func CutSet(text string) (key, value string, ok bool) {
	quoted, depth := false, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' && (i == 0 || text[i-1] != '\\'):
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '=' && depth == 0:
			return strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:]), true
		}
	}
	return "", "", false
}
