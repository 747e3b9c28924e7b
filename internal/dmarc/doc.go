// Package dmarc tells whether the domain in From is one that the message may use: Domain-based Message Authentication,
// Reporting and Conformance, by RFC 9989 or by RFC 7489, which it obsoletes.
//
// A message passes when SPF or DKIM passed for a domain that is aligned with the author's, and the author's domain, or the
// organization that it belongs to, has a policy record. What is one organization is found by a walk up the DNS tree
// (RFC 9989 section 4.10) or by the public suffix list (RFC 7489 section 3.2).
//
// Discover asks DNS, all names at once; Evaluate is pure. The package never decides what becomes of a message, and never
// verifies a signature or an address itself: it believes what it is given of them.
//
// It is stricter than RFC 9989 in one point: no organization is above a public suffix, as the list knows it, unless a
// record says "psd=n" there. So two customers of a registry whose record has no tag "psd" are not one organization.
package dmarc
