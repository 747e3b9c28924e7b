// Package received takes the mail in which others report about our own domains: DMARC aggregate reports (RFC 7489, RFC 9990)
// and reports about TLS (RFC 8460). A route of kind "report" leads to it. It has what is packed opened in the process that
// opens what mail carries, keeps what is about a domain that is served here, and answers like a next hop: 250 once it is on
// disk, a refusal with words where there is no report in the message.
//
// It never relays anything and answers no report.
package received
