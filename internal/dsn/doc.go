// Package dsn writes failure notices: the mail that tells a sender to whom its message could not be delivered, and why. A
// notice is a multipart/report (RFC 6522) of a text for people, a delivery status for programs (RFC 3464), and the header
// section of the message or, where that was asked for and it is small, all of it (RFC 3461 section 6). Where an address is
// internationalized it has the types of RFC 6533.
//
// It tells nothing of the inside of a site: the only host that it names is its own, and Hide takes the names of inner hosts
// out of what a next hop said. It decides nothing: whether a notice may be sent at all is its caller's matter (RFC 3834; never
// about a notice, never to a sender who was not authenticated, never against NOTIFY).
package dsn
