package greylist

import "bytes"

// AppendSender appends a sender's address with all that changes from one message or one try to the next made the same, so
// that a retry, and the next issue of a list, are of the same pair. Letters A to Z are lowered, and in the local part
//
//   - what forwarders and bounce checkers put before it goes: SRS0=…=…=, SRS1=…==…, prvs=…= (BATV)
//   - what follows a + goes: list servers put the recipient or a token there
//   - each run of letters and digits with a digit in it, or of four and more letters a to f, becomes one #, and runs that
//     follow each other with one other octet between them become one: numbers, hexadecimal and the like, as in
//     bounce-1742-8f3ac@ or the address of a VERP without a +
//
// Two people may so become one, john1@ and john2@ of one domain. That costs nothing: both are of one identity, which is in
// the key too, and this is no judgement on them. Applied to its own result it changes nothing.
func AppendSender(b []byte, address string) []byte {
	start := len(b)
	b = appendLower(b, address)
	a := b[start:]
	at := bytes.LastIndexByte(a, '@')
	if at < 0 {
		at = len(a)
	}
	local, host := unwrap(a[:at]), bytes.TrimRight(a[at:], ".")
	if plus := bytes.IndexByte(local, '+'); plus > 0 {
		local = local[:plus]
	}
	// Both parts only move to the left, and local's result is no longer than local.
	b = appendTokens(b[:start], local)
	return append(b, host...)
}

// unwrap takes away what SRS and BATV put before a local part, however often.
func unwrap(local []byte) []byte {
	for {
		var rest []byte
		switch {
		case bytes.HasPrefix(local, []byte("prvs=")):
			rest = after(local[len("prvs="):], "=", 1)
		case srs(local, '0'):
			rest = after(local[len("srs0="):], "=", 2)
		case srs(local, '1'):
			// The hash and timestamp of the first forwarder follow: an SRS0 without its word.
			if rest = after(local[len("srs1="):], "==", 1); rest != nil {
				if inner := after(rest, "=", 2); inner != nil {
					rest = inner
				}
			}
		}
		if len(rest) == 0 {
			return local
		}
		local = rest
	}
}

// srs reports whether a local part begins as one of the Sender Rewriting Scheme, with any of its separators.
func srs(local []byte, n byte) bool {
	return len(local) > 5 && string(local[:3]) == "srs" && local[3] == n && bytes.IndexByte([]byte("=+-"), local[4]) >= 0
}

// after returns what follows the n-th separator; nil, if there are fewer.
func after(s []byte, sep string, n int) []byte {
	for ; n > 0; n-- {
		i := bytes.Index(s, []byte(sep))
		if i < 0 {
			return nil
		}
		s = s[i+len(sep):]
	}
	return s
}

// appendTokens appends a local part with its numbers made one. It may append over what it reads.
func appendTokens(b, local []byte) []byte {
	start := len(b)
	for len(local) > 0 {
		n := 0
		for n < len(local) && word(local[n]) {
			n++
		}
		if n == 0 && local[0] != '#' || n > 0 && !number(local[:n]) {
			n = max(n, 1)
			b, local = append(b, local[:n]...), local[n:]
			continue
		}
		local = local[max(n, 1):]
		switch done := b[start:]; {
		case bytes.HasSuffix(done, []byte("#")):
		case len(done) > 1 && done[len(done)-2] == '#' && !word(done[len(done)-1]):
			b = b[:len(b)-1]
		default:
			b = append(b, '#')
		}
	}
	return b
}

// word reports whether an octet is part of a run: letters, also those beyond ASCII, and digits.
func word(c byte) bool { return 'a' <= c && c <= 'z' || digit(c) || c >= 0x80 }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func number(run []byte) bool {
	hex := len(run) >= 4
	for _, c := range run {
		if digit(c) {
			return true
		}
		hex = hex && c <= 'f'
	}
	return hex
}
