// Package ldapdir reads all mail addresses of an LDAP directory (RFC 4511), such as Active Directory or OpenLDAP, in pages
// (RFC 2696), for a copy that is kept elsewhere. It asks one question, which no stranger has a part in.
//
// It speaks TLS whose certificate is verified by name, from the beginning (ldaps) or after StartTLS (RFC 4513 section 3),
// and in clear only where it is told so. It follows no referral, and counts them. It trusts no server: a message may have
// 256 KiB, an entry 10,000 values, and all of it 4 GiB and 5,000,000 entries; what stands still for a minute has ended; and
// an answer that did not end as it should is an error, never a shorter list.
package ldapdir
