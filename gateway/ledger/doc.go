// Package ledger remembers to whom which message was delivered, so that a sender that comes again with a message that was
// taken, since it never heard so, makes no second copy (RFC 1047 tells the problem). It is gateway.Ledger.
//
// A message in flight is known to this process alone: a second attempt waits for the end of the first. What was delivered is
// remembered in memory and in a file, written before the sender is told 250, so that the end of the process forgets nothing;
// a loss of power forgets at most what came within the last second. Where Redis is used, other nodes know of it too.
//
// It never holds mail up for long, and never loses any: whatever it cannot do, or has forgotten, costs at worst a second
// copy. Names and addresses stand nowhere, only their HMAC under the key of the installation.
package ledger
