// Package directory knows who is in a list of mail addresses that comes from elsewhere: a file, an export in CSV, or the
// copy of an LDAP directory.
//
// What was read last and was good stays in force while its source is broken, away, empty, or suddenly less than half of
// what it was, over a restart too: it is kept in a copy, a file with a checksum that is replaced whole or not at all. How
// old it is is always known. A source is read strictly: one line that is no address refuses all of it, with its number.
//
// Addresses are kept as keyed hashes of 64 bits, sorted: 8 octets each. The key is random for each reading, so that
// nobody can choose an address that another stands for, and no copy tells who is in it. Both parts of an address are
// compared without regard to case, as directories do; only the next hop knows whether it minds (RFC 5321 section 2.4).
//
// It never asks for one address and never waits in a look-up. Its memory is bounded by MaxAddresses.
package directory
