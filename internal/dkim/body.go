package dkim

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"slices"
)

// maxWanted bounds the different combinations of canonicalisation and length that are hashed for one message.
const maxWanted = 128

// BodyHasher hashes the body of a message in one pass for all signatures of DKIM and ARC: each Want names a canonicalisation
// and a length, Read reads the body, Sum tells. Each canonicalisation is done once and each octet of it hashed once, however
// many lengths are wanted, since the hash of a beginning is a snapshot on the way. The zero value is ready; it is for one
// message and one goroutine.
type BodyHasher struct {
	wanted []want
	read   bool
	err    error
	hashed int64
}

type want struct {
	canon Canon
	limit int64
	sum   BodySum
}

// BodySum is what was found of one combination.
type BodySum struct {
	Hash   [sha256.Size]byte
	Octets int64 // how many octets of the canonical body were hashed: fewer than the length when the body is shorter
	Total  int64 // how many there are
}

// Want asks for the SHA-256 of a body in a canonicalisation, of its first limit octets (l=), or of all when limit is
// negative. It returns the number to ask Sum for; too many different ones get the number of an error.
func (b *BodyHasher) Want(c Canon, limit int64) int {
	limit = max(limit, -1)
	for i := range b.wanted {
		if b.wanted[i].canon == c && b.wanted[i].limit == limit {
			return i
		}
	}
	if len(b.wanted) == maxWanted || b.read {
		return -1
	}
	b.wanted = append(b.wanted, want{canon: c, limit: limit})
	return len(b.wanted) - 1
}

// Empty reports whether nobody wants anything, so that the body need not be read.
func (b *BodyHasher) Empty() bool { return len(b.wanted) == 0 }

// Read reads the body from its first octet behind the empty line to its end. It is called once, after each Want. An error
// is that of the reader; Sum returns it too.
func (b *BodyHasher) Read(body io.Reader) error {
	b.read = true
	if b.Empty() {
		return nil
	}
	var both passes
	for _, c := range [...]Canon{Simple, Relaxed} {
		if limits := b.limits(c); limits != nil {
			s := &sums{hash: sha256.New(), limits: limits}
			if c == Simple {
				both.simple = &simpleBody{out: s}
			} else {
				both.relaxed = &relaxedBody{out: s}
			}
		}
	}
	if _, b.err = io.Copy(both, body); b.err != nil {
		return b.err
	}
	if both.simple != nil {
		both.simple.end()
		b.keep(Simple, both.simple.out)
	}
	if both.relaxed != nil {
		both.relaxed.end()
		b.keep(Relaxed, both.relaxed.out)
	}
	return nil
}

// Sum returns what was found for a number that Want returned.
func (b *BodyHasher) Sum(n int) (BodySum, error) {
	switch {
	case b.err != nil:
		return BodySum{}, b.err
	case n < 0 || n >= len(b.wanted):
		return BodySum{}, errors.New("body: too many different hashes are wanted")
	case !b.read:
		return BodySum{}, errors.New("body: not read")
	}
	return b.wanted[n].sum, nil
}

// Hashed returns how many octets went into hashes: what a message costs.
func (b *BodyHasher) Hashed() int64 { return b.hashed }

// limits returns the lengths that are wanted of a canonicalisation, the shortest first; -1 for all is left out.
func (b *BodyHasher) limits(c Canon) []int64 {
	var out []int64
	for i := range b.wanted {
		if b.wanted[i].canon == c {
			if out == nil {
				out = make([]int64, 0, 4) // not nil: the canonicalisation is wanted
			}
			if b.wanted[i].limit >= 0 {
				out = append(out, b.wanted[i].limit)
			}
		}
	}
	slices.Sort(out)
	return out
}

// keep hands the sums to those who want them.
func (b *BodyHasher) keep(c Canon, s *sums) {
	s.close()
	b.hashed += s.total
	for i := range b.wanted {
		if w := &b.wanted[i]; w.canon == c {
			w.sum = BodySum{Hash: s.whole, Octets: s.total, Total: s.total}
			if at, found := slices.BinarySearch(s.limits[:len(s.at)], w.limit); w.limit >= 0 && found {
				w.sum.Hash, w.sum.Octets = s.at[at], w.limit
			}
		}
	}
}

// sums hashes the canonical octets and takes a snapshot at each length.
type sums struct {
	hash   hash.Hash
	limits []int64 // sorted
	at     [][sha256.Size]byte
	total  int64
	whole  [sha256.Size]byte
}

func (s *sums) write(p []byte) {
	for len(s.at) < len(s.limits) {
		left := s.limits[len(s.at)] - s.total
		if left > int64(len(p)) {
			break
		}
		s.hash.Write(p[:left])
		s.total += left
		p = p[left:]
		s.snapshot()
	}
	s.hash.Write(p)
	s.total += int64(len(p))
}

func (s *sums) snapshot() {
	var sum [sha256.Size]byte
	s.hash.Sum(sum[:0])
	s.at = append(s.at, sum)
}

// close takes the last sums; lengths beyond the end have none.
func (s *sums) close() {
	for len(s.at) < len(s.limits) && s.limits[len(s.at)] == s.total {
		s.snapshot()
	}
	s.hash.Sum(s.whole[:0])
}

// passes canonicalises for both at once. A reader over memory hands over all in one Write, which nobody keeps.
type passes struct {
	simple  *simpleBody
	relaxed *relaxedBody
}

func (b passes) Write(p []byte) (int, error) {
	if b.simple != nil {
		b.simple.write(p)
	}
	if b.relaxed != nil {
		b.relaxed.write(p)
	}
	return len(p), nil
}

// ends writes line ends that were held back.
func ends(out *sums, n int64) {
	const some = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"
	var buf [len(some)]byte
	for copy(buf[:], some); n > 0; {
		now := min(n, int64(len(some)/2))
		out.write(buf[:2*now])
		n -= now
	}
}

// simpleBody is section 3.4.3: line ends at the end of the body are one. They are counted until something else follows.
type simpleBody struct {
	out   *sums
	lines int64 // CRLFs held back
	cr    bool  // and a CR, at the end of a chunk
}

func (s *simpleBody) write(p []byte) {
	if len(p) == 0 {
		return
	}
	if s.cr {
		s.cr = false
		if p[0] == '\n' {
			s.lines++
			p = p[1:]
		} else {
			s.flush()
			s.out.write([]byte{'\r'})
		}
	}
	end, n := len(p), int64(0)
	if end > 0 && p[end-1] == '\r' {
		s.cr = true
		end--
	}
	for end >= 2 && p[end-2] == '\r' && p[end-1] == '\n' {
		end -= 2
		n++
	}
	if end > 0 {
		s.flush()
		s.out.write(p[:end])
	}
	s.lines += n
}

func (s *simpleBody) flush() {
	ends(s.out, s.lines)
	s.lines = 0
}

func (s *simpleBody) end() {
	if s.cr {
		s.flush()
		s.out.write([]byte{'\r'})
	}
	ends(s.out, 1) // also to an empty body
}
