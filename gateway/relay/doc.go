// Package relay hands messages to the next hop: the MTA behind the gateway. It is an SMTP client of our own, because
// what it must never do is what ready-made clients do.
//
// A message is one transaction on a pooled connection: MAIL, each RCPT and DATA in one flight where the next hop offers
// PIPELINING, and the body only after every RCPT was answered with 250 or 251. Each step expects one exact code; any
// other is an error and never a success. Before the body another next hop of the route is tried when one fails; once an
// octet of the body was sent, nothing is tried again. An answer that comes too late for the sender is listened for, and
// told to whoever asked for it (gateway.Delivery.Late).
//
// Connections are bounded, and so are those who wait for one, in number and in time; messages and questions about
// recipients have shares that the other cannot take, and what does not fit is refused at once. A next hop that rests after
// failures is asked in the background (Tend). No next hop shares anything with another that one could wait for.
//
// It never reports Delivered without a 250 after the end of the message, never tells a sender 5xx that the next hop did
// not say, never sends a body for some of the recipients only, never ends a message that it could not read whole, and
// after a failed body it only closes the connection. It never holds a connection while a sender is still talking, and never
// tells a password without TLS that was verified. It knows nothing of policy.
//
// RFC 5321 (SMTP), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING), RFC 3207 (STARTTLS), RFC 1870 (SIZE), RFC 6152 (8BITMIME),
// RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 9422 (LIMITS), RFC 2033 (LMTP), RFC 4954 (AUTH), RFC 7677
// (SCRAM-SHA-256), RFC 2782 (SRV).
package relay
