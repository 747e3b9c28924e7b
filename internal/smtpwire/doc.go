// Package smtpwire is the syntax of SMTP as octets: lines, message content,
// addresses, command arguments, replies and the dot-writer. The server edge
// and the next-hop client share it, so both read and write by one set of
// rules.
//
// It never opens, closes or times a connection, never decides what a peer is
// told, and knows nothing of policy. It never passes on what it could not
// read by the rules: a bare CR, a bare LF or a NUL is an error with a name,
// and only CRLF.CRLF ends a message. All it keeps in memory is bounded.
//
// Errors come in two kinds. After one kind the peers are still in step, and
// the dialogue may go on with a refusal; after the other (end of input, a
// timeout, a flood) the connection must be closed. [InStep] tells which.
//
// RFC 5321 (SMTP), RFC 6531 (SMTPUTF8), RFC 1870 (SIZE), RFC 2034 (enhanced
// codes), RFC 3030 (CHUNKING), RFC 3461 (DSN), RFC 2920 (PIPELINING).
package smtpwire
