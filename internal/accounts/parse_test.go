package accounts_test

import (
	"strings"
	"testing"

	"gatepost/internal/accounts"
)

// TestTOTP holds codes against RFC 6238 appendix B (SHA-1; the last six of its eight digits).
func TestTOTP(t *testing.T) {
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := accounts.CodeAt([]byte("12345678901234567890"), at/30); got != want {
			t.Errorf("%d: %s, not %s", at, got, want)
		}
	}
}

// FuzzPHC shows that whatever a store holds for a password is refused, or is exactly what would be written for it, within bounds.
func FuzzPHC(f *testing.F) {
	for _, s := range []string{"$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", "$", "$argon2i$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=064,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=257$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$$", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNh\nbHQ$AAAAAAAAAAAAAAAAAAAAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again, err := accounts.ParsePHC(s)
		if err == nil && again != s {
			t.Errorf("%q is read as %q", s, again)
		}
		if err == nil && (len(s) > 256 || strings.ContainsAny(s, "\r\n ")) {
			t.Errorf("%q was read", s)
		}
	})
}

// FuzzBearer shows that a token is read of a field of exactly the one form, and is a part of it.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer gp_" + strings.Repeat("a2", 26), "bearer gp_" + strings.Repeat("z7", 26), "", "Bearer ", "Basic x", "Bearer gp_", "Bearer  gp_" + strings.Repeat("a", 51)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, ok := accounts.Bearer(s)
		if ok && (len(token) != 55 || !strings.HasPrefix(token, "gp_") || strings.Trim(token[3:], "abcdefghijklmnopqrstuvwxyz234567") != "" || !strings.EqualFold(s[:len(s)-55], "bearer ")) {
			t.Errorf("%q gives %q", s, token)
		}
	})
}

// FuzzCode shows that codes are read alike however people write them, and that nothing else is one.
func FuzzCode(f *testing.F) {
	for _, s := range []string{"abcd-efgh-2345-6777", "ABCD EFGH 2345 6777", "", "123 456", "abcd-efgh-2345-677\u00e4", strings.Repeat("-", 100), "0000-1111-0000-1111"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain, ok := accounts.PlainCode(s)
		if ok && (len(plain) != 16 || strings.Trim(plain, "abcdefghijklmnopqrstuvwxyz234567") != "") {
			t.Errorf("%q gives %q", s, plain)
		}
		if again, still := accounts.PlainCode(strings.ToUpper(plain)); ok && (!still || again != plain) {
			t.Errorf("%q is %q, and that %q", s, plain, again)
		}
		if six, ok := accounts.SixDigits(s); ok && (len(six) != 6 || strings.Trim(six, "0123456789") != "") {
			t.Errorf("%q gives %q", s, six)
		}
		if b, err := accounts.Ticket(s); err == nil && len(b) > 4096 {
			t.Errorf("a ticket of %d octets", len(b))
		}
	})
}
