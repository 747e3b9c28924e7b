// Package quarantine is the vault of mail that is kept and not delivered: one file for each message, compressed and
// encrypted, and an index in which it is found.
//
// The files are the truth. One lies there before anything is promised, invisible until the rest of its message was delivered;
// the index is made from them anew whenever it is lost. What is kept is promised: it is there until a person released or
// deleted it, or until its time is over, which is told. It is released with a mark, never twice without one, and never
// before the whole file proved to be what was written.
//
// It never interprets a message: who shows one to a person reads it elsewhere. It never decides what is kept.
package quarantine
