// Package queue is what can be asked of the spool, and done to mail in it: the operations, and the commands that ask them.
//
// Somebody of some domains sees of a message the recipients of those, and changes nothing: what is in the spool belongs to all
// its recipients at once. It never touches a file of the spool: gateway/spool does. No RFC applies.
package queue
