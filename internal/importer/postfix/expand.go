package postfix

import (
	"cmp"
	"strconv"
	"strings"
)

// expander expands $name (postconf(5), "parameter expansion"): $name, ${name}, $(name), ${name?yes}, ${name:no},
// ${name?{yes}:{no}}, ${{a} op {b} ? {yes} : {no}} and $$. What is not set is empty.
type expander struct {
	c       *Config
	service *Service
	room    int    // octets that were made, and 64 for each name
	failed  string // why the rest was left out
}

func (e *expander) expand(text string, depth int) string {
	if depth > maxDepth {
		e.failed = "names itself, or goes too deep"
		return ""
	}
	var b strings.Builder
	for text != "" && e.failed == "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			i = len(text)
		}
		b.WriteString(text[:i])
		if e.room += i + 64; e.room > maxText {
			e.failed = "is longer than 1 MiB when it is expanded"
			return ""
		}
		if text = text[i:]; len(text) < 2 {
			break // nothing, or a "$" alone
		}
		var made string
		made, text = e.one(text[1:], depth)
		b.WriteString(made)
	}
	return b.String()
}

// one expands what follows a "$".
func (e *expander) one(text string, depth int) (made, rest string) {
	switch text[0] {
	case '$':
		return "$", text[1:]
	case '{', '(':
		inner, rest, ok := balanced(text)
		if !ok {
			e.failed = "has a bracket that is not closed"
			return "", ""
		}
		return e.braced(strings.TrimSpace(inner), depth), rest
	}
	n := nameEnd(text)
	return e.name(text[:n], depth), text[n:]
}

func nameEnd(text string) int {
	for i := range len(text) {
		if c := text[i]; c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return i
		}
	}
	return len(text)
}

// balanced splits a text that begins with a bracket behind the one that closes it.
func balanced(text string) (inner, rest string, ok bool) {
	open, shut, level := text[0], byte('}'), 0
	if open == '(' {
		shut = ')'
	}
	for i := range len(text) {
		switch text[i] {
		case open:
			level++
		case shut:
			if level--; level == 0 {
				return text[1:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

func (e *expander) name(name string, depth int) string {
	raw, ok := e.c.Params[name]
	if e.service != nil {
		for _, o := range e.service.Options {
			if o.Name == name {
				raw, ok = o, true
			}
		}
	}
	if !ok {
		raw.Value = defaultOf(name)
		if name == "mydomain" { // the default is myhostname without its first label
			if _, domain, dot := strings.Cut(e.name("myhostname", depth+1), "."); dot {
				return domain
			}
			return "localdomain"
		}
	}
	return e.expand(raw.Value, depth+1)
}

// braced expands the inside of ${...}.
func (e *expander) braced(text string, depth int) string {
	if strings.HasPrefix(text, "{") {
		return e.comparison(text, depth)
	}
	n := nameEnd(text)
	value := e.name(text[:n], depth)
	rest := strings.TrimSpace(text[n:])
	if rest == "" {
		return value
	}
	switch op, then := rest[0], rest[1:]; op {
	case '?':
		yes, no := branches(then)
		if value == "" {
			yes = no
		}
		return e.expand(yes, depth+1)
	case ':':
		if value != "" {
			return "" // as Postfix has it
		}
		no, _ := branches(then)
		return e.expand(no, depth+1)
	}
	e.failed = "has an operator that is not known"
	return ""
}

// branches reads "yes", "{yes}" or "{yes} : {no}".
func branches(text string) (yes, no string) {
	text = strings.TrimLeft(text, " \t")
	if !strings.HasPrefix(text, "{") {
		return text, ""
	}
	yes, rest, ok := balanced(text)
	if !ok {
		return text, ""
	}
	if rest, ok = strings.CutPrefix(strings.TrimSpace(rest), ":"); ok {
		if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "{") {
			no, _, _ = balanced(rest)
			return strings.TrimSpace(yes), strings.TrimSpace(no)
		}
		return strings.TrimSpace(yes), rest
	}
	return strings.TrimSpace(yes), ""
}

// comparison expands {a} op {b} ? {yes} : {no}.
func (e *expander) comparison(text string, depth int) string {
	a, rest, ok := balanced(text)
	op, right, found := strings.Cut(rest, "{")
	b, then, closed := "", "", false
	if ok && found {
		b, then, closed = balanced("{" + right)
	}
	then, asked := strings.CutPrefix(strings.TrimSpace(then), "?")
	if !closed || !asked {
		e.failed = "has a comparison that cannot be read"
		return ""
	}
	left, against := strings.TrimSpace(e.expand(a, depth+1)), strings.TrimSpace(e.expand(b, depth+1))
	op, level := strings.CutSuffix(strings.TrimSpace(op), "level")
	yes, no := branches(then)
	holds, known := compare(left, strings.TrimSpace(op), against, level)
	if !known {
		e.failed = "has a comparison that is not known"
		return ""
	}
	if !holds {
		yes = no
	}
	return e.expand(yes, depth+1)
}

func compare(a, op, b string, level bool) (holds, known bool) {
	order := strings.Compare(a, b)
	x, err := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	switch {
	case level:
		order = cmp.Compare(levelOf(a), levelOf(b))
	case err == nil && err2 == nil:
		order = cmp.Compare(x, y)
	}
	switch op {
	case "==":
		return order == 0, true
	case "!=":
		return order != 0, true
	case "<":
		return order < 0, true
	case "<=":
		return order <= 0, true
	case ">":
		return order > 0, true
	case ">=":
		return order >= 0, true
	}
	return false, false
}

// levelOf makes a compatibility level (major.minor.patch) a number.
func levelOf(text string) (n int) {
	parts := strings.SplitN(text, ".", 3)
	for i := range 3 {
		part := 0
		if i < len(parts) {
			part, _ = strconv.Atoi(parts[i])
		}
		n = n*1000 + min(max(part, 0), 999)
	}
	return n
}
