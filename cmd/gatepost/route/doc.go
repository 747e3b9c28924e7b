// Package route is what can be asked about the way of mail to next hops: the operation route test, and its command.
//
// It sends no message, and changes nothing. The way is that of gateway/relay; here it gets its words. RFC 5321, RFC 3207, RFC 7672
// and RFC 8461 apply there.
package route
