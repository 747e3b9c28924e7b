package filters

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxShown bounds the name that is compared, in octets; no client shows so much of it.
const maxShown = 1024

// maxWords bounds the words of a name that are compared.
const maxWords = 12

// nameWords takes a display name apart for comparing: words of letters, folded in case, without accents, titles, initials
// and what stands in brackets, and with letters that only look like those of the Latin alphabet read as these. They are
// sorted, since names are written in either order.
func nameWords(name string) []string {
	var out []string
	depth := 0
	name = strings.Map(func(r rune) rune {
		switch r {
		case '(', '[', '{', '<':
			depth++
			return ' '
		case ')', ']', '}', '>':
			depth = max(depth-1, 0)
			return ' '
		}
		if depth > 0 {
			return -1
		}
		return r
	}, name[:min(len(name), maxShown)])
	for _, word := range strings.FieldsFunc(norm.NFKD.String(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.Is(unicode.Cf, r) && !unicode.IsDigit(r)
	}) {
		word = strings.Map(latin, strings.ToLower(word))
		if len(word) > 1 && !isTitle(word) && len(out) < maxWords && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return out
}

// namesPerson reports whether a name, by its words, names a person, by theirs: it has all of them, whatever else it has.
func namesPerson(name, person []string) bool {
	if len(person) == 0 {
		return false
	}
	for _, w := range person {
		if !slices.Contains(name, w) {
			return false
		}
	}
	return true
}

// isTitle reports whether a word says what somebody is, and not who.
func isTitle(word string) bool {
	switch word {
	case "dr", "prof", "mr", "mrs", "ms", "herr", "frau", "dipl", "ing", "phd", "mba", "jr", "sr", "ceo", "cfo", "cto", "coo":
		return true
	}
	return false
}

// latin reads a letter, decomposed and in lower case, as the one of the Latin alphabet that it looks like; marks and what
// is not shown go away.
func latin(r rune) rune {
	switch {
	case unicode.IsMark(r), unicode.Is(unicode.Cf, r):
		return -1
	case r < 0x80:
		return digitLike(r)
	}
	return likeLatin(r)
}

// digitLike reads a digit in a word as the letter that it stands for.
func digitLike(r rune) rune {
	switch r {
	case '0':
		return 'o'
	case '1', '|':
		return 'l'
	case '3':
		return 'e'
	case '5':
		return 's'
	}
	return r
}

// likeLatin reads a letter of another alphabet, or one of the Latin alphabet without a decomposition, as the plain letter that
// it looks like.
func likeLatin(r rune) rune {
	switch r {
	case 'а', 'α':
		return 'a'
	case 'в':
		return 'b'
	case 'с':
		return 'c'
	case 'ԁ', 'đ':
		return 'd'
	case 'е':
		return 'e'
	case 'һ', 'ħ', 'н':
		return 'h'
	case 'і', 'ι', 'ı':
		return 'i'
	case 'ј':
		return 'j'
	case 'κ', 'к':
		return 'k'
	case 'ӏ', 'ł':
		return 'l'
	case 'м':
		return 'm'
	case 'ո', 'п':
		return 'n'
	case 'о', 'օ', 'ο', 'ø':
		return 'o'
	case 'р', 'ρ':
		return 'p'
	case 'г':
		return 'r'
	case 'ѕ':
		return 's'
	case 'τ', 'т':
		return 't'
	case 'ս', 'υ':
		return 'u'
	case 'ν':
		return 'v'
	case 'х', 'χ':
		return 'x'
	case 'у':
		return 'y'
	}
	return r
}
