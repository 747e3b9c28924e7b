package rbl

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// FuzzClassify holds what is made of any answer of any list of the catalogue against the rules in words: no error code, no
// address outside 127.0.0.0/8 and nothing undocumented is a listing, no answer is "not listed", and a weight is one of the list's.
func FuzzClassify(f *testing.F) {
	f.Add(uint8(0), []byte{127, 0, 0, 2})
	f.Add(uint8(0), []byte{127, 0, 0, 2, 127, 255, 255, 254})
	f.Add(uint8(10), []byte{127, 0, 0, 255})
	f.Add(uint8(12), []byte{127, 0, 0, 65})
	f.Add(uint8(3), []byte{127, 0, 1, 255, 203, 0, 113, 1})
	f.Add(uint8(1), []byte{})
	lists := Catalogue()
	f.Fuzz(func(t *testing.T, number uint8, octets []byte) {
		l := lists[int(number)%len(lists)]
		var answer []netip.Addr
		for len(octets) >= 4 {
			a := netip.AddrFrom4([4]byte(octets))
			if len(octets) > 16 && octets[0] == 6 {
				a = netip.AddrFrom16([16]byte(octets[1:17]))
				octets = octets[13:]
			}
			answer, octets = append(answer, a), octets[4:]
		}
		var res Result
		l.classify(answer, &res)

		bad, known, weights := false, false, map[int]bool{}
		for _, a := range answer {
			a = a.Unmap()
			if !a.Is4() {
				bad = true
				continue
			}
			n := binary.BigEndian.Uint32(a.AsSlice())
			bad = bad || n>>24 != 127 || n>>8 == 0x7fffff || n == 0x7f000001 || errorOf(l.Name, n)
			for _, r := range l.Rules {
				if slowMatch(r.Answer.String(), n) {
					known, weights[r.Weight] = true, true
				}
			}
		}
		want := Unknown
		switch {
		case bad || len(answer) > maxAnswers:
			want = Unhealthy
		case known:
			want = Listed
		}
		if res.Verdict != want || (res.Cause == NoCause) != (want == Listed) || want != Listed && (res.Weight != 0 || res.Codes != nil) ||
			want == Listed && !weights[res.Weight] {
			t.Errorf("%s answers %v: %+v, want %v", l.Name, answer, res, want)
		}
	})
}

// errorOf has the lists' own error codes once more.
func errorOf(list string, n uint32) bool {
	switch {
	case list == "dnswl":
		return n == 0x7f0000ff
	case list == "surbl" || list == "uribl":
		return n>>8 == 0x7f0000 && n&1 == 1
	case strings.HasPrefix(list, "spamhaus-dbl") || list == "spamhaus-zrd":
		return n == 0x7f0001ff
	}
	return false
}

// slowMatch reads a pattern's text anew.
func slowMatch(pattern string, n uint32) bool {
	for i, part := range strings.Split(pattern, ".") {
		b := n >> (24 - 8*i) & 255
		var from, to uint32
		switch {
		case part == "*":
			continue
		case part[0] == '&':
			if b&number(part[1:]) == 0 {
				return false
			}
			continue
		case strings.Contains(part, "-"):
			lo, hi, _ := strings.Cut(part, "-")
			from, to = number(lo), number(hi)
		default:
			from = number(part)
			to = from
		}
		if b < from || b > to {
			return false
		}
	}
	return true
}

func number(s string) (n uint32) {
	for _, c := range s {
		n = n*10 + uint32(c-'0')
	}
	return n
}

// FuzzPattern shows that a pattern that is read is written as it was meant.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"127.0.0.2", "127.0.2-15.3", "127.*.0.&8", "127.0.0.0-255", "127.1", "127.0.0.&"} {
		f.Add(s, uint32(0x7f000002))
	}
	f.Fuzz(func(t *testing.T, text string, n uint32) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		again, err := ParsePattern(p.String())
		if err != nil || again != p {
			t.Errorf("%q is %q, and that is %q, %v", text, p, again, err)
		}
		a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
		if p.Match(a) != slowMatch(text, n) {
			t.Errorf("%q and %v: %v", text, a, p.Match(a))
		}
		if p.Match(a) && a.As4()[0] != 127 {
			t.Errorf("%q matches %v", text, a)
		}
	})
}

// FuzzDomain shows that what is asked about as a domain can be nothing else, and never leaves the list's zone.
func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.com", "a.b.", "1.2.3.4", "x..y", "[1.2.3.4]", "a\x00.b", strings.Repeat("a.", 130)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		domain, ok := domainName(text, 2)
		if !ok {
			if domain != "" {
				t.Errorf("%q: %q", text, domain)
			}
			return
		}
		if _, err := netip.ParseAddr(domain); err == nil || strings.Trim(domain, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" ||
			strings.Contains(domain, "..") || domain[0] == '.' || strings.HasSuffix(domain, ".") || !strings.Contains(domain, ".") {
			t.Errorf("%q became %q", text, domain)
		}
		if again, ok := domainName(domain, 2); !ok || again != domain {
			t.Errorf("%q becomes %q", domain, again)
		}
		if name, ok := (question{domain: domain}).name("bl.example"); ok && (len(name) > maxName || name != domain+".bl.example") {
			t.Errorf("%q is asked as %q", domain, name)
		}
	})
}
