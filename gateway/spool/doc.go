// Package spool holds messages on their way: in memory up to a size, then in a file that has no name, so that a crash
// leaves nothing behind. (The durable spool behind the next hop will live here too.)
//
// It never interprets a message, and what it holds is promised to nobody: a body is dropped when its transaction ends.
package spool
