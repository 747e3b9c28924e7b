package office

import "bytes"

// ddeFormula finds =cmd|' /C calc'!A0 and its kin, as a line of a table has them: in one of its cells something that begins like a
// formula, then a program, a bar, a topic in quotes and an item. Excel passes over blanks between them, adds up what stands
// before ("=1+2+cmd|...", "=SUM(1,2)*cmd|..."), and takes as long a formula as is written. NUL is no letter, so that UTF-16 is
// read too; another control character ends all, so that what is no text is not taken for a formula. One pass, whatever is in it.
func ddeFormula(b []byte) string {
	if !mayDDE(b) {
		return ""
	}
	formula, topic := -1, -1 // where a formula began in this line, and the topic of a program
	start, quoted := true, false
	var last byte // before this one, but for blanks
	for i, c := range b {
		switch {
		case c == ' ' || c == 0:
			continue
		case c == '\n' || c == '\r':
			if !quoted {
				formula, topic, start = -1, -1, true
			}
			continue
		case c < ' ' && c != '\t':
			formula, topic, start, quoted = -1, -1, true, false
			continue
		case c == '"':
			quoted = !quoted
			continue
		case c == '!' && last == '\'' && topic >= 0:
			item := b[i:min(len(b), i+16)]
			if end := bytes.IndexAny(item, "\r\n,;\t\""); end >= 0 {
				item = item[:end]
			}
			return string(bytes.ReplaceAll(cut(b, formula, min(i+len(item)-formula, 400)), []byte{0}, nil))
		case c == '\'' && last == '|' && formula >= 0:
			topic = i
		case start && formula < 0 && (c == '=' || c == '+' || c == '-' || c == '@'):
			formula = i
		}
		start = c == ',' || c == ';' || c == '\t' || c == '|' || start && (c == '\'' || c == 'E')
		last = c
	}
	return ""
}

// mayDDE reports whether a bar stands before a quote anywhere, and an exclamation mark behind one: what most contents have not.
func mayDDE(b []byte) bool {
	if bytes.IndexByte(b, '!') < 0 {
		return false
	}
	for {
		i := bytes.IndexByte(b, '|')
		if i < 0 {
			return false
		}
		if b = bytes.TrimLeft(b[i+1:], " \x00\r\n\t"); len(b) > 0 && b[0] == '\'' {
			return true
		}
	}
}
