// Package dmarcreport writes DMARC aggregate reports: the XML of RFC 9990, or of RFC 7489 appendix C where its reader knows
// no other, and the mail around it. It reads the addresses that a policy record asks reports to be sent to, and asks an
// external one whether it wants them (RFC 9990 section 4, RFC 7489 section 7.1).
//
// All that it is given may be hostile, since anybody publishes a record and anybody sends mail: what goes into a report is
// cleaned and cut, and each list is bounded. It never collects, never sends, and keeps nothing.
package dmarcreport
