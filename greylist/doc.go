// Package greylist holds a stranger's mail for a moment (RFC 6647): who tries again, as every mail server must (RFC 5321
// section 4.5.4.1), passes; most senders of spam do not.
//
// It is an engine: it knows nothing of Gatepost, says nothing to a client and does not judge who is suspect. What it
// remembers of a pair of sender and recipient, and of an identity (see Identity), is one number each. Decide is the whole
// of greylisting as a pure function of these numbers, the settings and the time; a Store does it as one atomic step.
//
//	Sender -> Identity -> Keyer.Key (HMAC) -> Store.Try -> Answer
//
// No number and no key tells who wrote to whom: that stands in the caller's journal, which has the key too.
package greylist
