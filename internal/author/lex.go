package author

// token is one piece of a From field, without the white space around it.
type token struct {
	kind kind
	text string // as it lies; of a quoted string and a comment what is inside
	at   int    // where it begins
}

type kind byte

const (
	atom    kind = 'a' // atoms and dots, 8-bit octets too
	encoded kind = 'e' // an encoded word
	quoted  kind = 'q' // a quoted string
	comment kind = 'c' // a comment, with what is nested in it
	sign    kind = 's' // one separator: ( ) < > [ ] : ; @ \ , "
)

// end is where the token ends.
func (t token) end() int {
	if t.kind == quoted || t.kind == comment {
		return t.at + len(t.text) + 2
	}
	return t.at + len(t.text)
}

// is reports whether the token is that separator.
func (t token) is(c byte) bool { return t.kind == sign && t.text[0] == c }

// lexed is a From field taken apart.
type lexed struct {
	tokens []token
	broken bool // a quote or a comment does not end: where the others are is anybody's guess
	angles int  // separators "<"
	closed int  // separators ">"
	ats    int  // separators "@"
}

// usualTokens is how many there is room for at once.
const usualTokens = 8

// lex takes a text apart (RFC 5322 section 3.2), in one pass: once a quote or a comment does not end, none is looked for.
func lex(s string, room []token) lexed {
	l := lexed{tokens: room[:0]}
	for i := 0; i < len(s); {
		t := token{at: i}
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			i++
			continue
		case isAtom(c):
			n := encodedWord(s[i:], false)
			if t.kind = encoded; n == 0 {
				t.kind = atom
				for n < len(s)-i && isAtom(s[i+n]) {
					n++
				}
			}
			t.text, i = s[i:i+n], i+n
		case (c == '"' || c == '(') && !l.broken:
			n := enclosed(s[i:])
			if n == 0 {
				l.broken = true
				t.kind, t.text, i = sign, s[i:i+1], i+1
				break
			}
			if t.kind = quoted; c == '(' {
				t.kind = comment
			}
			t.text, i = s[i+1:i+n-1], i+n
		default:
			t.kind, t.text, i = sign, s[i:i+1], i+1
			l.count(c)
		}
		l.tokens = append(l.tokens, t)
	}
	return l
}

func (l *lexed) count(c byte) {
	switch c {
	case '<':
		l.angles++
	case '>':
		l.closed++
	case '@':
		l.ats++
	case ')':
		l.broken = true
	}
}

// enclosed returns the length of the quoted string or comment at the start of s with its delimiters, 0 if it does not end.
func enclosed(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"' && s[0] == '"' && i > 0:
			return i + 1
		case c == '(' && s[0] == '(':
			depth++
		case c == ')' && s[0] == '(':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// isAtom reports an octet of atext (RFC 5322 section 3.2.3, RFC 6532 section 3.2), or the dot: names hold dots without
// quotes (section 4.1), and local parts of real addresses hold them anywhere.
func isAtom(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '"':
		return false
	}
	return c > ' ' && c != 0x7f
}
