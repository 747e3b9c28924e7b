package filters

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"gatepost/internal/confusable"
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
		word = strings.ToLower(word)
		if isTitle(word) {
			continue
		}
		if word = confusable.Skeleton(word); len(word) > 1 && len(out) < maxWords && !slices.Contains(out, word) {
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
