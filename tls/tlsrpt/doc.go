// Package tlsrpt knows reports about the encryption of mail on its way (SMTP TLS Reporting, RFC 8460): who asks for them, what
// is counted of a connection, how a day's counts become one report, and the mail around it.
//
// All that it is given may be hostile, since anybody publishes a record and a mail host says what it likes: what goes into a
// report is cleaned and cut, and each list is bounded, without any session being left out of the sums. It never asks DNS,
// never collects, never sends and keeps nothing.
package tlsrpt
