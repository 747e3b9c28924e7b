// Package smtpd is the edge that takes mail in: an SMTP server for an MX (RFC 5321) with STARTTLS (RFC 3207), PIPELINING
// (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), CHUNKING (RFC 3030), SMTPUTF8 (RFC 6531), enhanced codes (RFC 2034),
// DSN parameters (RFC 3461) and LIMITS (RFC 9422).
//
// A session is one goroutine: it reads a line, looks the verb up in a table, asks the pipeline of its stage, and says one
// reply. It never decides about a message: checks see, Policy.Judge decides, and only the Deliverer makes a 250 for a
// message. It never logs a command: the journal gets one event for each connection and each transaction. It never goes on
// with a dialogue in which the two sides may disagree where a command begins: a timeout or a cut inside a message, a bare
// LF behind a command, or octets in clear behind STARTTLS end the connection.
package smtpd
