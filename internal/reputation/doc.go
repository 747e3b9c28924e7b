// Package reputation keeps the history of outcomes: what came of the mail of a client, its network, its organisation and
// the domains that it proved to send for, and what standing follows from that.
//
// A history is a few numbers that fade: messages that were let in, that were spam or malware, recipients that do not exist,
// and mail that came again when it was told to wait. All are integers, so that a script in Redis comes to the same ones as
// the process does. What may teach what to whom is not decided here: see docs/decisions/024-reputation.md.
//
// It never decides about mail: a standing is what other parts go by, and nobody is refused for one unless an operator
// says so. No RFC applies.
package reputation
