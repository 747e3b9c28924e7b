package dane

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is the certificates of the cases.
type world struct {
	root, mid, leaf         *made // root signs mid, mid signs leaf
	self, other             *made
	expired, misnamed, late *made // by mid; late by oldMid, which has expired
	oldMid, notCA, byNotCA  *made
	client                  *made // for clients alone, by mid
	byRoot                  *made
	wild                    *made
}

func newWorld(t testing.TB) (w world) {
	w.root = makeCert(t, nil, authority("root"))
	w.mid = makeCert(t, w.root, authority("mid"))
	w.leaf = makeCert(t, w.mid, nil)
	w.self, w.other = makeCert(t, nil, nil), makeCert(t, nil, authority("other"))
	w.expired = makeCert(t, w.mid, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) })
	w.misnamed = makeCert(t, w.mid, func(c *x509.Certificate) { c.DNSNames = []string{"else.example.org"} })
	w.oldMid = makeCert(t, w.root, func(c *x509.Certificate) { authority("old")(c); c.NotAfter = now.Add(-time.Hour) })
	w.late = makeCert(t, w.oldMid, nil)
	w.notCA = makeCert(t, w.root, nil)
	w.byNotCA = makeCert(t, w.notCA, nil)
	w.client = makeCert(t, w.mid, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	w.byRoot = makeCert(t, w.root, nil)
	w.wild = makeCert(t, w.mid, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.org"} })
	return w
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	rr := func(all ...Record) []Record { return all }
	chain := func(all ...*made) []*made { return all }
	broken := record(anchor, whole, full, w.mid)
	broken.Data = broken.Data[:len(broken.Data)-1]
	cases := []struct {
		name    string
		records []Record
		chain   []*made
		want    string // the record's kind, or the error
		err     error
	}{
		{"no certificate", rr(record(3, 1, 1, w.leaf)), nil, "", ErrMatch},
		{"other key", rr(record(3, 1, 1, w.other)), chain(w.leaf, w.mid), "", ErrMatch},
		{"issuer as EE", rr(record(3, 1, 1, w.mid)), chain(w.leaf, w.mid), "", ErrMatch},
		{"leaf as TA", rr(record(2, 1, 1, w.leaf)), chain(w.leaf, w.mid), "", ErrMatch},
		{"self-signed leaf as TA", rr(record(2, 0, 1, w.self)), chain(w.self), "", ErrMatch},
		{"self-signed leaf as TA, shown twice", rr(record(2, 0, 1, w.self)), chain(w.self, w.self), "", ErrMatch},
		{"self-signed leaf as TA in the record", rr(record(2, 0, 0, w.self)), chain(w.self), "", ErrMatch},
		{"its own key as TA in the record", rr(record(2, 1, 0, w.self)), chain(w.self), "2 1 0", nil},
		{"EE of an expired one", rr(record(3, 1, 1, w.expired)), chain(w.expired), "3 1 1", nil},
		{"EE of another name", rr(record(3, 0, 1, w.misnamed)), chain(w.misnamed), "3 0 1", nil},
		{"EE of one for clients", rr(record(3, 0, 1, w.client)), chain(w.client), "3 0 1", nil},
		{"old and new key", rr(record(3, 1, 1, w.other), record(3, 1, 1, w.self)), chain(w.self), "3 1 1", nil},
		{"PKIX-EE alone", rr(record(1, 1, 1, w.self)), chain(w.self), "", ErrMatch},
		{"PKIX-TA alone", rr(record(0, 1, 1, w.mid)), chain(w.leaf, w.mid), "", ErrMatch},
		{"beside an unusable one", rr(record(1, 1, 1, w.other), Record{3, 1, 9, []byte{1}}, record(3, 1, 1, w.self)), chain(w.self), "3 1 1", nil},
		{"TA root is shown", rr(record(2, 0, 1, w.root)), chain(w.leaf, w.mid, w.root), "2 0 1", nil},
		{"TA root is left out", rr(record(2, 0, 1, w.root)), chain(w.leaf, w.mid), "", ErrMatch},
		{"TA root in the record", rr(record(2, 0, 0, w.root)), chain(w.leaf, w.mid), "2 0 0", nil},
		{"TA root in the record, mid left out", rr(record(2, 0, 0, w.root)), chain(w.leaf), "", ErrChain},
		{"TA key of the root in the record", rr(record(2, 1, 0, w.root)), chain(w.leaf, w.mid), "2 1 0", nil},
		{"TA key of the issuer in the record", rr(record(2, 1, 0, w.mid)), chain(w.leaf), "2 1 0", nil},
		{"TA key in the record, of another", rr(record(2, 1, 0, w.other)), chain(w.leaf, w.mid), "", ErrMatch},
		{"TA key in the record, wrong name", rr(record(2, 1, 0, w.mid)), chain(w.misnamed), "", ErrName},
		{"TA key in the record, expired", rr(record(2, 1, 0, w.mid)), chain(w.expired), "", ErrDate},
		{"TA wrong name", rr(record(2, 1, 1, w.mid)), chain(w.misnamed, w.mid), "", ErrName},
		{"TA wildcard", rr(record(2, 1, 1, w.mid)), chain(w.wild, w.mid), "2 1 1", nil},
		{"TA expired", rr(record(2, 1, 1, w.mid)), chain(w.expired, w.mid), "", ErrDate},
		{"TA issuer expired", rr(record(2, 1, 1, w.root)), chain(w.late, w.oldMid, w.root), "", ErrDate},
		{"TA shown, but signs nothing", rr(record(2, 1, 1, w.other)), chain(w.leaf, w.mid, w.other), "", ErrChain},
		{"TA that is no authority", rr(record(2, 1, 1, w.notCA)), chain(w.byNotCA, w.notCA), "", ErrChain},
		{"TA of one for clients", rr(record(2, 1, 1, w.mid)), chain(w.client, w.mid), "", ErrChain},
		{"chain out of order", rr(record(2, 1, 1, w.root)), chain(w.leaf, w.root, w.mid), "2 1 1", nil},
		{"closest is the name", rr(record(2, 1, 1, w.other), record(2, 1, 1, w.mid), record(3, 1, 1, w.other)), chain(w.misnamed, w.mid, w.other), "", ErrName},
		{"TA in the record cut short", rr(broken), chain(w.leaf, w.mid), "", ErrMatch},
		{"strong digest is wrong, weak one right", rr(record(3, 1, 2, w.other), record(3, 1, 1, w.self)), chain(w.self), "", ErrMatch},
		{"strong digest of the other selector is wrong", rr(record(3, 0, 2, w.other), record(3, 1, 1, w.self)), chain(w.self), "3 1 1", nil},
		{"strong digest of the other usage is wrong", rr(record(2, 1, 2, w.other), record(3, 1, 1, w.self)), chain(w.self), "3 1 1", nil},
		{"strong digest is wrong, the whole right", rr(record(3, 0, 2, w.other), record(3, 0, 0, w.self)), chain(w.self), "3 0 0", nil},
		{"strong digest is too short, weak one right", rr(Record{3, 1, 2, make([]byte, 63)}, record(3, 1, 1, w.self)), chain(w.self), "3 1 1", nil},
	}
	for _, usage := range []uint8{anchor, itself} {
		for selector := range uint8(2) {
			for matching := range uint8(3) {
				r := record(usage, selector, matching, map[uint8]*made{anchor: w.mid, itself: w.leaf}[usage])
				cases = append(cases, struct {
					name    string
					records []Record
					chain   []*made
					want    string
					err     error
				}{"all kinds " + r.Kind(), rr(r), chain(w.leaf, w.mid), r.Kind(), nil})
			}
		}
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			var shown []*x509.Certificate
			for _, c := range tt.chain {
				shown = append(shown, c.Certificate)
			}
			got, err := Verify(tt.records, shown, []string{"base.example.net", "", "mx.example.org"}, now)
			if !errors.Is(err, tt.err) || tt.err == nil && got.Kind() != tt.want {
				t.Errorf("got %q, %v; want %q, %v", got.Kind(), err, tt.want, tt.err)
			}
			if err == nil && !slices.ContainsFunc(tt.records, got.Equal) {
				t.Error("the record is none of those given")
			}
		})
	}
}

// A name of the certificate may be any of those asked for, and none is asked for that is empty.
func TestVerifyNames(t *testing.T) {
	w := newWorld(t)
	records, chain := []Record{record(2, 1, 1, w.mid)}, []*x509.Certificate{w.leaf.Certificate, w.mid.Certificate}
	for names, want := range map[string]error{
		"mx.example.org": nil, "MX.example.org": nil, "a.example,mx.example.org": nil, "example.org": ErrName, "": ErrName, "a.mx.example.org": ErrName,
	} {
		if _, err := Verify(records, chain, strings.Split(names, ","), now); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", names, err, want)
		}
	}
}

func TestUsable(t *testing.T) {
	w := newWorld(t)
	spki := record(3, 1, 0, w.leaf).Data
	for _, tt := range []struct {
		name string
		r    Record
		want bool
	}{
		{"PKIX-TA", record(0, 0, 1, w.leaf), false},
		{"PKIX-EE", record(1, 1, 1, w.leaf), false},
		{"usage 4", record(4, 1, 1, w.leaf), false},
		{"private usage", record(255, 1, 1, w.leaf), false},
		{"selector 2", Record{3, 2, 1, make([]byte, 32)}, false},
		{"selector 255", Record{3, 255, 1, make([]byte, 32)}, false},
		{"matching 3", Record{3, 1, 3, make([]byte, 48)}, false},
		{"matching 255", Record{3, 1, 255, make([]byte, 32)}, false},
		{"SHA-256 too short", Record{3, 1, 1, make([]byte, 31)}, false},
		{"SHA-256 too long", Record{3, 1, 1, make([]byte, 33)}, false},
		{"SHA-512 of 32 octets", Record{3, 1, 2, make([]byte, 32)}, false},
		{"no data", Record{3, 1, 1, nil}, false},
		{"no data in full", Record{2, 0, 0, nil}, false},
		{"no certificate", Record{2, 0, 0, []byte("certificate")}, false},
		{"a key as certificate", Record{2, 0, 0, spki}, false},
		{"a certificate as key", Record{2, 1, 0, w.leaf.Raw}, false},
		{"too big", Record{2, 0, 0, make([]byte, maxData+1)}, false},
		{"too big a certificate", record(3, 0, 0, makeCert(t, nil, func(c *x509.Certificate) {
			for range 1000 {
				c.DNSNames = append(c.DNSNames, "a-long-name.example.org")
			}
		})), false},
		{"3 1 1", record(3, 1, 1, w.leaf), true},
		{"2 0 2", record(2, 0, 2, w.mid), true},
		{"2 0 0", record(2, 0, 0, w.mid), true},
		{"3 1 0", record(3, 1, 0, w.leaf), true},
	} {
		if got := tt.r.Usable(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What is more than the bounds costs nothing and changes nothing.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	many := make([]Record, maxRecords)
	for i := range many {
		many[i] = record(3, 1, 1, w.other)
	}
	if _, err := Verify(append(many, record(3, 1, 1, w.self)), []*x509.Certificate{w.self.Certificate}, nil, now); !errors.Is(err, ErrMatch) {
		t.Errorf("record beyond the bound: %v", err)
	}
	long := []*x509.Certificate{w.byRoot.Certificate}
	for len(long) < maxChain {
		long = append(long, w.other.Certificate)
	}
	if _, err := Verify([]Record{record(2, 0, 1, w.root)}, append(long, w.root.Certificate), []string{"mx.example.org"}, now); !errors.Is(err, ErrMatch) {
		t.Errorf("certificate beyond the bound: %v", err)
	}
	var keys []Record
	for range maxAnchors {
		keys = append(keys, record(2, 1, 0, w.other))
	}
	if _, err := Verify(append(keys, record(2, 1, 0, w.mid)), []*x509.Certificate{w.leaf.Certificate}, []string{"mx.example.org"}, now); !errors.Is(err, ErrMatch) {
		t.Errorf("key beyond the bound: %v", err)
	}
	if got := len(strings.Split(kinds(many), ",")); got > 6 {
		t.Errorf("an error names %d records", got)
	}
}
