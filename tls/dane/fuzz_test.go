package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"testing"
	"time"
)

// Whatever a zone publishes and a server shows: what is accepted is what the RFCs say, written out anew, and nothing that can be
// shown or published costs much or breaks anything.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	all := []*made{w.leaf, w.mid, w.root, w.self, w.misnamed, w.expired, w.byRoot, w.late, w.oldMid}
	for _, c := range all[:4] {
		for usage := range uint8(5) {
			for _, kind := range [][2]uint8{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {2, 1}, {1, 3}} {
				f.Add(usage, kind[0], kind[1], record(usage, kind[0], min(kind[1], 2), c).Data, uint16(0x210), append(append([]byte(nil), w.leaf.Raw...), w.mid.Raw...))
			}
		}
	}
	f.Add(uint8(2), uint8(1), uint8(0), record(2, 1, 0, w.mid).Data, uint16(4), []byte(nil))
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte, picks uint16, shown []byte) {
		chain, err := x509.ParseCertificates(shown)
		if err != nil || len(chain) == 0 {
			for ; picks > 0 || len(chain) == 0; picks >>= 4 {
				chain = append(chain, all[int(picks&15)%len(all)].Certificate)
			}
		}
		r := Record{usage, selector, matching, data}
		other := record(3, 1, 1, w.other)
		got, err := Verify([]Record{other, r}, chain, []string{"mx.example.org"}, now)
		if err == nil && (!got.Equal(r) || !allowed(r, chain)) {
			t.Fatalf("%s is accepted", r)
		}
		if err != nil && usage == 3 && allowed(r, chain) {
			t.Fatalf("%s is refused: %v", r, err)
		}
		if usable := Usable([]Record{r}); len(usable) > 0 != r.Usable() {
			t.Fatalf("%s: %v", r, usable)
		}
	})
}

// allowed is what must be true of a record that is accepted, whatever else must be.
func allowed(r Record, chain []*x509.Certificate) bool {
	is := func(c *x509.Certificate) bool {
		of := map[uint8][]byte{0: c.Raw, 1: c.RawSubjectPublicKeyInfo}[r.Selector]
		s256, s512 := sha256.Sum256(of), sha512.Sum512(of)
		want, ok := map[uint8][]byte{0: of, 1: s256[:], 2: s512[:]}[r.Matching]
		return ok && of != nil && bytes.Equal(want, r.Data)
	}
	leaf := chain[0]
	switch {
	case r.Usage == 3:
		return is(leaf) && (r.Matching != 0 || len(r.Data) <= maxData)
	case r.Usage != 2 || leaf.VerifyHostname("mx.example.org") != nil || now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return false
	case r.Matching == 0:
		return true
	}
	for _, c := range chain[1:] {
		if is(c) && !now.After(c.NotAfter.Add(time.Second)) {
			return true
		}
	}
	return false
}
