// Package spool holds messages: those on their way (Bodies), in memory up to a size, then in a file that has no name, so
// that a crash leaves nothing behind; and those that wait for a next hop (Queue), each in a file of its own that a power
// cut cannot take.
//
// It never interprets a message. What Bodies hold is promised to nobody: a body is dropped when its transaction ends. What
// the Queue took is promised: it is delivered, or its sender is told that it was not, or it lies there and is counted until
// a person has decided. It never sends what it cannot prove to be what it took (CRC-32C over the whole file), and never
// drops that in silence either.
package spool
