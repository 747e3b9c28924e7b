// Package audit keeps who did what: each change that was made by command line, API or console, each look into mail, and
// what was refused for want of a right.
//
// Entries are a chain: the hash of each is over what it says and the hash before it, so that one which was changed, removed or
// put in later is noticed (Verify). Whoever can write the store can compute a whole new chain; against him helps the head,
// which each node keeps beside its store. Text that went by age leaves its number and digest, and the chain holds.
//
// Noting waits for nothing that can hang: where the store is away, entries go to a file and to the daemon's own log, and are
// appended later, in their order, each once. What is in mail is never in an entry. No RFC applies.
package audit
