package dane

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Own is the record that publishes a key of ours: DANE-EE, its public key, SHA-256 (3 1 1). It is the one that a certificate
// may be renewed under, and whose names and dates no sender looks at (RFC 7672 section 3.1.1, RFC 7671 section 5.1).
func Own(public crypto.PublicKey) (Record, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Record{}, fmt.Errorf("tlsa: %w", err)
	}
	sum := sha256.Sum256(der)
	return Record{Usage: itself, Selector: key, Matching: with256, Data: sum[:]}, nil
}

// Line is a record as a line of a zone: what is to be pasted or removed.
func Line(host string, port int, r Record) string {
	return fmt.Sprintf("_%d._tcp.%s. IN TLSA %s", port, strings.TrimSuffix(host, "."), r)
}

// Key is a key of ours.
type Key struct {
	Names  []string            // of the certificate that it is, or will be, of
	Public crypto.PublicKey    //
	Chain  []*x509.Certificate // of the certificate, its own first; nil for a key that has none yet
	Live   bool                // it is shown to clients; else it is to be shown next
}

// KeyOf is the key of a certificate that is shown, or is to be.
func KeyOf(chain []*x509.Certificate, live bool) Key {
	leaf := chain[0]
	return Key{Names: leaf.DNSNames, Public: leaf.PublicKey, Chain: chain, Live: live}
}

// names reports whether the certificate is for a host.
func (k *Key) names(host string) bool { return Covers(k.Names, host) }

// Covers reports whether names of a certificate stand for a host, wildcards as in RFC 6125 section 6.4.3.
func Covers(names []string, host string) bool {
	_, above, _ := strings.Cut(host, ".")
	for _, n := range names {
		n = strings.TrimSuffix(n, ".")
		rest, wild := strings.CutPrefix(n, "*.")
		if strings.EqualFold(n, host) || wild && above != "" && strings.EqualFold(rest, above) {
			return true
		}
	}
	return false
}

// at returns those of keys that a sender may be shown who asks for a host: those that are for it, or where there is none any;
// of live ones the first of each kind, as a server chooses by what the sender can verify. A next key for the host counts for
// the next ones as if it were live: before there is a certificate of it, those of other hosts are no concern of this one.
func at(keys []Key, host string, live bool) (out []*Key) {
	named := slices.ContainsFunc(keys, func(k Key) bool { return (k.Live || !live) && k.names(host) })
	for i := range keys {
		k := &keys[i]
		if k.Live != live || named && !k.names(host) {
			continue
		}
		same := func(o *Key) bool { return fmt.Sprintf("%T", o.Public) == fmt.Sprintf("%T", k.Public) }
		if !live || !slices.ContainsFunc(out, same) {
			out = append(out, k)
		}
	}
	return out
}

// fits reports whether a usable record lets senders verify what a key is shown with. Of a key without a certificate nothing but
// the key is known.
func (r Record) fits(k *Key, host string, now time.Time) bool {
	if len(k.Chain) > 0 {
		_, err := Verify([]Record{r}, k.Chain, []string{host}, now)
		return err == nil
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	return err == nil && r.Usage == itself && r.Selector == key && r.matches(&x509.Certificate{RawSubjectPublicKeyInfo: der})
}
