// Package redis keeps in Redis what all nodes share: the greylist and the counters of rate limits.
//
// Redis is a help, never a condition: a call ends within a bounded time (50 ms), the first that fails opens a breaker, and
// while it is open calls fail at once and the caller goes on with what it has in memory. What one stage of SMTP asks goes
// out as one Row, in one round trip. Standalone, Sentinel and Cluster are spoken to in the same way.
//
// What comes through when the other side is broken: nothing but an *Error that says why. An answer that is no list of
// numbers of the expected length is one, too.
//
// The user that it comes as needs no more than this of Redis's ACL: "~gp:* +@read +@write +@scripting +@connection
// -@dangerous +time", and on a Cluster "+cluster|slots".
package redis
