// Package reports tells the owners of domains, once a day, what was seen of them: what became of mail in their name, as DMARC
// aggregate reports (RFC 9990, RFC 7489 section 7.2), of what the journal tells; and how the encryption of connections to
// their mail hosts came out, as TLS reports (RFC 8460), of what the relay tells. It counts, keeps the counts in a Store, and
// sends them on. When, by which way and how often is the same for both sorts; the rest is the kind's own (kind.go).
//
// The mail path never waits for it: what the queue or the store has no room for is lost and counted. A report is sent again
// when it may not have arrived, always under the same Report-ID. It never reports about reports, never sends to an address
// outside the owner's organization that did not ask for it, and does nothing at all until an address is set to send from.
package reports
