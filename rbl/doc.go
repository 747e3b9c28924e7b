// Package rbl asks DNS lists of addresses and domains (DNSBL, DNSWL; RFC 5782) and watches over the lists that it asks.
//
// A query is one A record. The address 192.0.2.99 is asked of the list bl.example.org as
//
//	99.2.0.192.bl.example.org
//
// an IPv6 address by its 32 nibbles in the same way, a domain as it is. No such name: not listed. An address in 127.0.0.0/8
// is a listing, and which one says why (RFC 5782 section 2.1). The rest of this package exists because that is not all that
// comes back: "you ask too much", "your resolver is open", "your key has run out" come as addresses in 127.0.0.0/8 too, a
// domain that ran out answers any name with the address of a parking page, and a list that was given up answers nothing,
// or lists the world. Read as yes or no, each of these refuses all mail or waves all spam through. So:
//
//   - Only the return codes that a list documents count (Rule). Its error codes (Failure), an answer outside 127.0.0.0/8
//     and 127.255.255.0/24 of any list are Unhealthy. One error among the addresses spoils them all.
//   - Only a name that does not exist is NotListed. A DNS failure, an answer that comes too late, an empty one and one
//     that no document explains are Unknown.
//   - Lists of a check are asked at the same time under one deadline; what is there when it ends is used.
//   - A list is used only while it proves that it works (Supervisor): armed after its test points answered as RFC 5782
//     section 5 wants, suspended when they no longer do, when 7 of its last 10 answers were none, or when it suddenly lists
//     nearly everybody while nobody else does.
//
// The package is an engine: it decides nothing, writes no log and reads no clock but the one it is given. Keys of lists stand
// in query names; they are no part of any result, error or status of this package (Key).
package rbl
