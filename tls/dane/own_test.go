package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// ownCertificate makes one for names, by an authority where there is one.
func ownCertificate(t testing.TB, by *x509.Certificate, byKey *ecdsa.PrivateKey, names ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "x"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: len(names) == 0,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	if by == nil {
		by, byKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// ownWorld is an authority, a certificate by it that is shown, and a key that is next.
type ownWorld struct {
	authority *x509.Certificate
	live      Key
	misnamed  Key // a certificate by the same authority, for another host
	next      Key
	other     Record
}

func newOwnWorld(t *testing.T) *ownWorld {
	authority, key := ownCertificate(t, nil, nil)
	leaf, _ := ownCertificate(t, authority, key, "mx.example.org")
	stray, _ := ownCertificate(t, authority, key, "other.example.org")
	_, next := ownCertificate(t, nil, nil, "mx.example.org")
	return &ownWorld{authority: authority, live: KeyOf([]*x509.Certificate{leaf, authority}, true),
		misnamed: KeyOf([]*x509.Certificate{stray, authority}, true),
		next:     Key{Names: []string{"mx.example.org"}, Public: next.Public()}, other: Record{3, 1, 1, make([]byte, 32)}}
}

func ownRecord(t *testing.T, k Key) Record {
	t.Helper()
	r, err := Own(k.Public)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rsaKey(t *testing.T) *rsa.PublicKey {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func sha512Of(data []byte) []byte { s := sha512.Sum512(data); return s[:] }

func sha(data []byte) []byte { s := sha256.Sum256(data); return s[:] }

func TestOwnIsTheDigestOfTheKeyInTheCertificate(t *testing.T) {
	w := newOwnWorld(t)
	if r := ownRecord(t, w.live); !r.matches(w.live.Chain[0]) || r.String() != fmt.Sprintf("3 1 1 %x", sha(w.live.Chain[0].RawSubjectPublicKeyInfo)) {
		t.Errorf("%s", r)
	}
	if got, want := Line("mx.example.org", 25, w.other), "_25._tcp.mx.example.org. IN TLSA 3 1 1 "+strings.Repeat("00", 32); got != want {
		t.Errorf("%s", got)
	}
	if _, err := Own("no key"); err == nil {
		t.Error("a text is a key")
	}
}

func TestOwnStates(t *testing.T) {
	w := newOwnWorld(t)
	live, next := ownRecord(t, w.live), ownRecord(t, w.next)
	leaf := w.live.Chain[0]
	second, _ := ownCertificate(t, nil, nil, "mx.example.org")
	other := KeyOf([]*x509.Certificate{second}, true)
	other.Public, other.Chain = rsaKey(t), nil
	hidden := KeyOf([]*x509.Certificate{second}, true) // of a kind that is there already
	both := []Key{w.live, w.next}
	for _, c := range []struct {
		about  string
		answer Observed
		keys   []Key
		want   State
		remove int
	}{
		{"no answer", Observed{Detail: "timeout"}, both, CannotTell, 0},
		{"bogus", Observed{Outcome: Bogus}, both, BogusZone, 0},
		{"none, not validated", Observed{Outcome: Absent}, both, NotSigned, 0},
		{"none", Observed{Outcome: Absent, Secure: true}, both, NotPublished, 0},
		{"the live one", Observed{Outcome: Found, Secure: true, Records: []Record{live}}, both, Right, 0},
		{"and the next", Observed{Outcome: Found, Secure: true, Records: []Record{live, next}}, both, RightNext, 0},
		{"and an old one", Observed{Outcome: Found, Secure: true, Records: []Record{live, next, w.other}}, both, Stale, 1},
		{"an old one twice", Observed{Outcome: Found, Secure: true, Records: []Record{live, w.other, w.other}}, both, Stale, 1},
		{"another", Observed{Outcome: Found, Secure: true, Records: []Record{w.other}}, both, Wrong, 1},
		{"the next only", Observed{Outcome: Found, Secure: true, Records: []Record{next}}, both, Wrong, 0},
		{"not validated", Observed{Outcome: Found, Records: []Record{w.other}}, both, NotValidated, 1},
		{"nothing that can be used", Observed{Outcome: Found, Secure: true, Records: []Record{{1, 1, 1, live.Data}, {3, 1, 1, live.Data[1:]}, {3, 1, 9, live.Data}}}, both, Unusable, 0},
		{"a stronger digest of the live key", Observed{Outcome: Found, Secure: true, Records: []Record{live, {3, 1, 2, sha512Of(leaf.RawSubjectPublicKeyInfo)}}}, both, Right, 0},
		{"a stronger digest of another key hides that of the live one", Observed{Outcome: Found, Secure: true, Records: []Record{live, {3, 1, 2, make([]byte, 64)}}}, both, Wrong, 1},
		{"the whole certificate", Observed{Outcome: Found, Secure: true, Records: []Record{{3, 0, 0, leaf.Raw}}}, both, Right, 0},
		{"the authority's key", Observed{Outcome: Found, Secure: true, Records: []Record{{2, 1, 1, sha(w.authority.RawSubjectPublicKeyInfo)}}}, both, Right, 0},
		{"the authority's key, for another name", Observed{Outcome: Found, Secure: true, Records: []Record{{2, 1, 1, sha(w.authority.RawSubjectPublicKeyInfo)}}}, []Key{w.misnamed}, Wrong, 1},
		{"its own as an authority's", Observed{Outcome: Found, Secure: true, Records: []Record{{2, 1, 1, live.Data}}}, both, Wrong, 1},
		{"one of two certificates", Observed{Outcome: Found, Secure: true, Records: []Record{live}}, []Key{w.live, other}, Partly, 0},
		{"both certificates", Observed{Outcome: Found, Secure: true, Records: []Record{live, ownRecord(t, other)}}, []Key{w.live, other}, Right, 0},
		{"a second certificate that nobody is shown", Observed{Outcome: Found, Secure: true, Records: []Record{live}}, []Key{w.live, hidden}, Right, 0},
		{"no certificate", Observed{Outcome: Found, Secure: true, Records: []Record{live}}, nil, Missing, 1},
	} {
		t.Run(c.about, func(t *testing.T) {
			var watch Watch
			c.answer.TTL = time.Hour
			watch.Saw("mx.example.org", c.answer, time.Now())
			r := watch.Report("mx.example.org", 25, c.keys, time.Now())
			if r.State != c.want || len(r.Remove) != c.remove {
				t.Errorf("%q with %d to remove, want %q with %d", r.State, len(r.Remove), c.want, c.remove)
			}
			for i, w := range r.Wanted {
				if !w.Record.matchesKey(c.keys[i]) || w.Published != (w.Since != time.Time{}) {
					t.Errorf("wanted %+v", w)
				}
			}
		})
	}
}

// matchesKey is an oracle: the digest of the key, computed another way.
func (r Record) matchesKey(k Key) bool {
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	return err == nil && string(sha(der)) == string(r.Data)
}

func TestWhichKeysAreShownAtAHost(t *testing.T) {
	w := newOwnWorld(t)
	keys := []Key{{Names: []string{"a.example.org"}, Live: true, Public: w.live.Public}, {Names: []string{"*.example.net"}, Live: true, Public: rsaKey(t)}, {Names: []string{"b.example.org"}}}
	for host, want := range map[string][2]int{"a.example.org": {1, 0}, "x.example.net": {1, 0}, "b.example.org": {2, 1}, "x.y.example.net": {2, 1}, "example.net": {2, 1}} {
		if live, next := at(keys, host, true), at(keys, host, false); len(live) != want[0] || len(next) != want[1] {
			t.Errorf("%s: %d live, %d next", host, len(live), len(next))
		}
	}
}

// ownLook feeds a watch and asks whether the next key may be shown.
type ownLook struct {
	at      int // seconds
	records string
	ttl     int
	want    bool
}

// TestTwoTTLs: whatever the order of publishing, looking and failing, a key is shown only when no cache can have records
// without it. l is the live key's record, n the next key's, o another, L and N those with SHA-512; "" is none, ? no answer, ! a bogus one.
func TestTwoTTLs(t *testing.T) {
	w := newOwnWorld(t)
	byLetter := map[rune]Record{'l': ownRecord(t, w.live), 'n': ownRecord(t, w.next), 'o': w.other, 'u': {1, 1, 1, make([]byte, 32)}}
	nextDER, _ := x509.MarshalPKIXPublicKey(w.next.Public)
	byLetter['L'], byLetter['N'] = Record{3, 1, 2, sha512Of(w.live.Chain[0].RawSubjectPublicKeyInfo)}, Record{3, 1, 2, sha512Of(nextDER)}
	for about, story := range map[string][]ownLook{
		"nothing is published":                       {{0, "", 0, true}},
		"nothing that can be used":                   {{0, "u", 60, true}},
		"no answer":                                  {{0, "?", 0, false}, {1, "", 0, true}, {2, "?", 0, false}},
		"bogus":                                      {{0, "!", 0, false}},
		"never published":                            {{0, "l", 60, false}, {60, "l", 60, false}, {120, "l", 60, false}},
		"published and waited for":                   {{0, "l", 60, false}, {30, "ln", 60, false}, {89, "ln", 60, false}, {149, "ln", 60, false}, {150, "ln", 60, true}},
		"what is left of a TTL is not the TTL":       {{0, "ln", 5, false}, {5, "ln", 60, false}, {15, "ln", 50, false}, {110, "ln", 50, false}, {120, "ln", 60, true}},
		"no answer in between":                       {{0, "ln", 60, false}, {50, "?", 0, false}, {100, "ln", 60, false}, {120, "ln", 60, true}},
		"taken away and published again":             {{0, "ln", 60, false}, {60, "l", 60, false}, {90, "ln", 60, false}, {130, "ln", 60, false}, {210, "ln", 60, true}},
		"not looked at for too long":                 {{0, "ln", 60, false}, {500, "ln", 60, false}, {600, "ln", 60, false}, {620, "ln", 60, true}},
		"all taken away":                             {{0, "l", 60, false}, {30, "", 0, false}, {149, "", 0, false}, {150, "", 0, true}},
		"what is left cannot be used":                {{0, "l", 60, false}, {30, "u", 60, false}, {149, "u", 60, false}, {150, "u", 60, true}},
		"the live one matches nothing: one TTL":      {{0, "o", 60, false}, {10, "on", 60, false}, {69, "on", 60, false}, {70, "on", 60, true}},
		"a weaker digest is not looked at":           {{0, "Ln", 60, false}, {60, "Ln", 60, false}, {120, "Ln", 60, false}, {180, "LnN", 60, false}, {300, "LnN", 60, true}},
		"a TTL that grows":                           {{0, "ln", 60, false}, {60, "ln", 600, false}, {120, "ln", 600, false}, {1200, "ln", 600, true}},
		"a TTL of nothing is a second":               {{0, "ln", 0, false}, {1, "ln", 0, false}, {2, "ln", 0, true}},
		"a TTL of years is as long as caches keep":   {{0, "ln", 1 << 30, false}, {7 * 86400, "ln", 1 << 30, false}, {14 * 86400, "ln", 1 << 30, true}},
		"the clock is turned back":                   {{1000, "ln", 60, false}, {500, "ln", 60, false}, {600, "ln", 60, false}, {620, "ln", 60, true}},
		"published anew, without the time before it": {{0, "ln", 600, false}, {600, "", 0, false}, {1800, "", 0, true}, {1900, "ln", 10, false}, {1910, "ln", 10, false}, {1920, "ln", 10, true}},
	} {
		t.Run(about, func(t *testing.T) {
			var watch Watch
			for _, s := range story {
				a := Observed{Outcome: Found, Secure: true, TTL: time.Duration(s.ttl) * time.Second}
				switch s.records {
				case "":
					a.Outcome = Absent
				case "?":
					a.Outcome = Failed
				case "!":
					a.Outcome = Bogus
				default:
					for _, letter := range s.records {
						a.Records = append(a.Records, byLetter[letter])
					}
				}
				now := time.Unix(int64(s.at), 0)
				// A restart between any two looks changes nothing but that it must look again.
				kept, err := json.Marshal(watch.State())
				if err != nil {
					t.Fatal(err)
				}
				var read map[string]Seen
				if err := json.Unmarshal(kept, &read); err != nil {
					t.Fatal(err)
				}
				var again Watch
				again.Restore(read, now)
				again.Saw("mx.example.org", a, now)
				watch.Saw("mx.example.org", a, now)
				for which, x := range map[string]*Watch{"": &watch, "after a restart: ": &again} {
					ok, why, until := x.Usable([]string{"mx.example.org"}, w.next, []Key{w.live}, now)
					if ok != s.want || why == "" || ok && !until.IsZero() || !until.IsZero() && !until.After(now) {
						t.Errorf("%sat %d with %q: %v, %s, %v", which, s.at, s.records, ok, why, until)
					}
				}
				if again := watch.Again("mx.example.org", now); !again.After(now) || again.Sub(now) > time.Hour {
					t.Errorf("at %d it is looked at again at %v", s.at, again)
				}
			}
		})
	}
}

func TestOwnHostsAreBounded(t *testing.T) {
	var w Watch
	for i := range 2 * mostHosts {
		w.Saw(fmt.Sprintf("%d.example.org", i), Observed{Outcome: Absent}, time.Unix(1, 0))
	}
	kept := w.State()
	if len(kept) != mostHosts {
		t.Errorf("%d hosts", len(kept))
	}
	kept["late.example.org"] = Seen{At: time.Unix(99, 0)}
	var again Watch
	again.Restore(kept, time.Unix(2, 0))
	if n := len(again.State()); n > mostHosts {
		t.Errorf("%d hosts after a restart", n)
	}
	again.Forget(func(host string) bool { return host == "1.example.org" })
	if n := len(again.State()); n > 1 {
		t.Errorf("%d hosts are ours", n)
	}
	many := Observed{Outcome: Found, TTL: time.Second}
	for i := range 1000 {
		many.Records = append(many.Records, Record{3, 1, 1, fmt.Appendf(nil, "%032d", i)})
	}
	w.Saw("1.example.org", many, time.Unix(2, 0))
	w.Saw("1.example.org", Observed{Outcome: Absent}, time.Unix(3, 0))
	if s := w.State()["1.example.org"]; len(s.Gone) > mostRecords {
		t.Errorf("%d records", len(s.Gone))
	}
}

func TestNothingIsKnownOfAHostThatWasNotAsked(t *testing.T) {
	var w Watch
	world := newOwnWorld(t)
	if ok, _, _ := w.Usable([]string{"mx.example.org"}, world.next, nil, time.Now()); ok {
		t.Error("a key may be shown where nobody looked")
	}
	if s := w.Report("mx.example.org", 25, nil, time.Now()).State; s != CannotTell {
		t.Errorf("%s", s)
	}
}
