// Package accept is the only way to a 250 for a message: the state machine between the end of the message and the reply
// (RFC 5321 section 4.2.5), over the ports NextHop, Vault, Spool and Ledger.
//
// It never says 250 unless the next hop has said it, or a message is on disk, fsynced. Whatever it does not know is 451:
// the sender keeps the message and comes back. It never judges, never speaks SMTP, and never writes the journal.
package accept
