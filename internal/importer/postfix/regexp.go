package postfix

import (
	"regexp"
	"strings"
)

// expression reads a line of regexp_table(5) or pcre_table(5): /pattern/flags result, with "!" before it, or in if and endif.
func (c *Config) expression(t *Table, text string, at Place) {
	e := Entry{At: at}
	e.guards = t.open()
	lower := strings.ToLower(text)
	switch {
	case lower == "endif":
		e.Key = "endif"
		e.guards = e.guards[:max(len(e.guards)-1, 0)]
	case strings.HasPrefix(lower, "if") && strings.IndexAny(text, " \t/!") == 2:
		e.Key = "if"
		pattern, _, not, why := c.pattern(strings.TrimSpace(text[2:]))
		if why != "" {
			c.fault(at, text, why)
		}
		e.guards = append(e.guards, guard{re: pattern, not: not})
		if pattern == nil { // nothing within is known to match
			e.guards[len(e.guards)-1] = guard{re: regexp.MustCompile(`[^\s\S]`)}
		}
	default:
		var why string
		e.re, e.Value, e.Not, why = c.pattern(text)
		if why == "" && e.Value == "" {
			why = "is a pattern without a result"
		}
		if why != "" {
			c.fault(at, text, why)
			return
		}
		e.Key, e.Within = source(text), len(e.guards) > 0
	}
	t.Entries = append(t.Entries, e)
}

// source is the expression between its delimiters.
func source(text string) string {
	text, _ = negated(text)
	_, body, _, _ := delimited(text)
	return body
}

// delimited splits /body/flags rest.
func delimited(text string) (flags, body, rest string, ok bool) {
	if text == "" {
		return "", "", "", false
	}
	end := -1
	for i := 1; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if text[i] == text[0] {
			end = i
			break
		}
	}
	if end < 0 {
		return "", "", "", false
	}
	flags, rest = text[end+1:], ""
	if i := strings.IndexAny(flags, " \t"); i >= 0 {
		flags, rest = flags[:i], strings.TrimSpace(flags[i:])
	}
	return flags, text[1:end], rest, true
}

// pattern compiles an expression. Both kinds ignore case unless the flag i toggles that.
func (c *Config) pattern(text string) (re *regexp.Regexp, rest string, not bool, why string) {
	text, not = negated(text)
	flags, body, rest, ok := delimited(text)
	if !ok {
		return nil, "", not, "has no closing delimiter"
	}
	set := "is"
	if strings.Count(flags, "i")%2 == 1 {
		set = "s"
	}
	re, err := regexp.Compile("(?" + set + ")" + body)
	if err != nil {
		return nil, rest, not, "is an expression that cannot be read here"
	}
	return re, rest, not, ""
}

// Literal reads an expression that can only mean one plain text: what it must begin and end with. It knows ^, $, \. and
// ordinary letters; ok is false for any other.
func Literal(expression string) (text string, fromStart, toEnd, ok bool) {
	expression, fromStart = strings.CutPrefix(expression, "^")
	if strings.HasSuffix(expression, "$") && !strings.HasSuffix(expression, `\$`) {
		expression, toEnd = strings.CutSuffix(expression, "$")
	}
	if rest, any := strings.CutPrefix(expression, ".*"); any { // ".*x" is "x" anywhere behind
		expression, fromStart = rest, false
	}
	var b strings.Builder
	for i := 0; i < len(expression); i++ {
		ch := expression[i]
		switch {
		case ch == '\\' && i+1 < len(expression) && strings.IndexByte(`.@-_+\/`, expression[i+1]) >= 0:
			i++
			b.WriteByte(expression[i])
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', strings.IndexByte("@-_=", ch) >= 0, ch >= 0x80:
			b.WriteByte(ch)
		default:
			return "", false, false, false
		}
	}
	return b.String(), fromStart, toEnd, b.Len() > 0
}
