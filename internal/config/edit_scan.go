package config

import "bytes"

// skipValue is behind the value that begins at an offset of a document that parses.
func skipValue(b []byte, at int) int {
	if at >= len(b) {
		return len(b)
	}
	switch b[at] {
	case '"', '\'':
		return skipString(b, at)
	case '[', '{':
		return skipNested(b, at)
	}
	end := at
	for end < len(b) && bytes.IndexByte([]byte(",]}#\n\r"), b[end]) < 0 {
		end++
	}
	return at + len(bytes.TrimRight(b[at:end], " \t"))
}

// skipString is behind a string of any of the four kinds.
func skipString(b []byte, at int) int {
	quote := b[at]
	long := bytes.HasPrefix(b[at:], []byte{quote, quote, quote})
	i := at + 1
	if long {
		i = at + 3
	}
	for i < len(b) {
		switch {
		case b[i] == '\\' && quote == '"':
			i += 2
		case b[i] != quote:
			i++
		case !long:
			return i + 1
		case bytes.HasPrefix(b[i:], []byte{quote, quote, quote}):
			for i += 3; i < len(b) && b[i] == quote; i++ { // up to two may be in front of the last three
			}
			return i
		default:
			i++
		}
	}
	return len(b)
}

// skipNested is behind a list or an inline table.
func skipNested(b []byte, at int) int {
	depth := 0
	for i := at; i < len(b); {
		switch b[i] {
		case '"', '\'':
			i = skipString(b, i)
			continue
		case '#':
			i = lineEnd(b, i)
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(b)
}

// member is one value between the braces of an inline table, with its key, or between the brackets of a list.
type member struct {
	at    int // of the key, if there is one
	value int
	end   int
	comma int // behind it; -1 for none
}

// membersOf are those of the { } or [ ] at an offset.
func membersOf(b []byte, at int) (out []member) {
	end := skipNested(b, at) - 1
	for i := skipBlank(b, at+1); i < end; i = skipBlank(b, i) {
		m := member{at: i, value: i, comma: -1}
		if b[at] == '{' {
			for i < end && b[i] != '=' {
				if b[i] == '"' || b[i] == '\'' {
					i = skipString(b, i)
				} else {
					i++
				}
			}
			m.value = skipBlank(b, i+1)
		}
		m.end = skipValue(b, m.value)
		if i = skipBlank(b, m.end); i < end && b[i] == ',' {
			m.comma = i
			i++
		}
		out = append(out, m)
	}
	return out
}

// skipBlank is behind blanks, line breaks and comments.
func skipBlank(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ', '\t', '\n', '\r':
			i++
		case '#':
			i = lineEnd(b, i)
		default:
			return i
		}
	}
	return i
}
