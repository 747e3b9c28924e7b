package accounts

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a password: characters at least, octets at most.
const (
	ShortestPassword = 12
	longestPassword  = 1024
)

//go:embed worst.txt
var worstText string

// prepared is a password as it is hashed: whatever the keyboard made of its accents (NIST SP 800-63B section 5.1.1.2).
func prepared(password string) string { return norm.NFKC.String(password) }

// CheckPassword says what is wrong with a new password: too short, too long, or among the first that anybody tries. It asks for
// no digits and no signs (NIST SP 800-63B section 5.1.1.2). own are words of the user himself: name, address.
func CheckPassword(password string, own ...string) error {
	if len(password) > longestPassword || !utf8.ValidString(password) {
		return bad("password", "the password has more than %d octets, or is no UTF-8", longestPassword)
	}
	p := prepared(password)
	if utf8.RuneCountInString(p) < ShortestPassword {
		return bad("password", "the password has fewer than %d characters", ShortestPassword)
	}
	small := strings.ToLower(p)
	if repeats(small) || climbs(small) {
		return bad("password", "the password only repeats or counts")
	}
	c := core(small)
	for w := range strings.FieldsSeq(worstText) {
		if small == w || c != "" && strings.ReplaceAll(c, w, "") == "" {
			return bad("password", "the password is among the first that are tried")
		}
	}
	for _, o := range own {
		o = strings.ToLower(o)
		for _, w := range append(strings.FieldsFunc(o, func(c rune) bool { return c == '@' || c == ' ' }), o) {
			if w = core(w); utf8.RuneCountInString(w) >= 3 && c != "" && strings.ReplaceAll(c, w, "") == "" {
				return bad("password", "the password is the name or the address, and little else")
			}
		}
	}
	return nil
}

// core is what is left of a password without the digits and signs that people put around a word, and with the letters that
// they write as digits.
func core(small string) string {
	inner := strings.TrimFunc(small, func(c rune) bool { return !unicode.IsLetter(c) })
	return strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", " ", "", "-", "", "_", "", ".", "").Replace(inner)
}

// repeats reports whether it is one group of at most four characters again and again.
func repeats(s string) bool {
	r := []rune(s)
	for period := 1; period <= 4; period++ {
		same := true
		for i := period; i < len(r) && same; i++ {
			same = r[i] == r[i-period]
		}
		if same {
			return true
		}
	}
	return false
}

// climbs reports whether each character is the next of the one before, up or down, or the next key of a row.
func climbs(s string) bool {
	const rows = "1234567890 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop qsdfghjklm wxcvbn abcdefghijklmnopqrstuvwxyz 0123456789"
	breaks := 0
	r := []rune(s)
	for i := 1; i < len(r); i++ {
		pair, back := string([]rune{r[i-1], r[i]}), string([]rune{r[i], r[i-1]})
		if r[i] != r[i-1] && !strings.Contains(rows, pair) && !strings.Contains(rows, back) {
			breaks++
		}
	}
	return breaks*5 < len(r)
}
