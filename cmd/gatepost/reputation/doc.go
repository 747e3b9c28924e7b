// Package reputation is what can be asked of what earlier mail of somebody came to, and done to it: the operations, and the
// commands that ask them.
//
// What is asked belongs to no domain: whoever may read of senders reads all of it. What remembers is internal/reputation.
// No RFC applies.
package reputation
