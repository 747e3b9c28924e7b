package dane

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Why a certificate is not the one that is published. The later one came closer: Verify tells the closest.
var (
	ErrMatch = errors.New("no TLSA record matches the certificate")
	ErrChain = errors.New("a TLSA record matches, but the certificate is not signed by way of it")
	ErrDate  = errors.New("a TLSA record matches its authority, but the certificate is not valid at this time")
	ErrName  = errors.New("a TLSA record matches its authority, but the certificate is of another name")
)

// Verify looks whether what a server showed in the TLS handshake, its own certificate first, is what the records say, and
// returns the record that says so. Records that cannot be used are passed over: there must be one that can.
//
// With DANE-EE (3) the certificate or its key is all that counts: neither names nor dates (RFC 7671 section 5.1). With DANE-TA
// (2) it must have one of the names, and a chain of signatures that are valid now up to what the record says, which the server
// shows or the record itself holds (RFC 7671 section 5.2, RFC 7672 section 3.1.2).
func Verify(records []Record, chain []*x509.Certificate, names []string, now time.Time) (Record, error) {
	if len(chain) == 0 {
		return Record{}, fmt.Errorf("%w: none was shown", ErrMatch)
	}
	usable := Usable(records)
	for _, r := range usable {
		if r.Usage == itself && r.matches(chain[0]) {
			return r, nil
		}
	}
	v := verifier{chain: chain[:min(len(chain), maxChain)], names: names, now: now}
	for _, r := range usable {
		if r.Usage == anchor && v.leadsTo(r) {
			return r, nil
		}
	}
	if v.err == nil {
		v.err = fmt.Errorf("%w (%s)", ErrMatch, kinds(usable))
	}
	return Record{}, v.err
}

// verifier tries records as trust anchors.
type verifier struct {
	chain   []*x509.Certificate
	names   []string
	now     time.Time
	anchors int // that records held themselves

	err  error // the closest that any came
	rank int
}

// leadsTo reports whether the chain leads up to the record. The server's own certificate is never its anchor: that would be
// DANE-EE.
func (v *verifier) leadsTo(r Record) bool {
	leaf := v.chain[0]
	for _, c := range v.chain[1:] {
		if r.matches(c) && !c.Equal(leaf) && v.trusting(c) {
			return true
		}
	}
	if r.Matching != full || v.anchors == maxAnchors {
		return false
	}
	v.anchors++
	if r.Selector == whole {
		c, err := x509.ParseCertificate(r.Data)
		return err == nil && !c.Equal(leaf) && v.trusting(c)
	}
	// A bare key: what it signed is as good as an anchor.
	public, err := x509.ParsePKIXPublicKey(r.Data)
	if err != nil {
		return false
	}
	signer := &x509.Certificate{PublicKey: public}
	for _, c := range v.chain {
		signer.PublicKeyAlgorithm = algorithm(c.SignatureAlgorithm)
		if signer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil && v.trusting(c) {
			return true
		}
	}
	return false
}

// trusting reports whether the certificate holds, given that c is beyond doubt. It keeps how close it came.
func (v *verifier) trusting(c *x509.Certificate) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(c)
	for _, o := range v.chain[1:] {
		between.AddCert(o)
	}
	leaf := v.chain[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: v.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		v.came(2, fmt.Errorf("%w (%s to %s)", ErrDate, leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly)))
	case err != nil:
		v.came(1, fmt.Errorf("%w: %w", ErrChain, err))
	case !v.named(leaf):
		v.came(3, fmt.Errorf("%w: it is of %s, and should be of %s", ErrName, cmp.Or(list(leaf.DNSNames), "none"), list(v.names)))
	default:
		return true
	}
	return false
}

// named reports whether the certificate has one of the names (RFC 7672 section 3.2.3). The common name is of no account.
func (v *verifier) named(leaf *x509.Certificate) bool {
	for _, name := range v.names {
		if name != "" && leaf.VerifyHostname(name) == nil {
			return true
		}
	}
	return false
}

func (v *verifier) came(rank int, err error) {
	if rank > v.rank {
		v.rank, v.err = rank, err
	}
}

// algorithm is that of the keys which make such signatures.
func algorithm(s x509.SignatureAlgorithm) x509.PublicKeyAlgorithm {
	switch s {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return x509.ECDSA
	case x509.PureEd25519:
		return x509.Ed25519
	}
	return x509.RSA
}

// list is names for an error, not too many.
func list(names []string) string {
	const most = 5
	more := ""
	if len(names) > most {
		names, more = names[:most], ", ..."
	}
	return strings.Join(names, ", ") + more
}

// kinds are the records that were tried, for an error.
func kinds(records []Record) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Kind())
	}
	return cmp.Or(list(all), "none can be used")
}
