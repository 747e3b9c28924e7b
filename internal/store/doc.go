// Package store keeps the message log: one SQLite file for each UTC day, in a folder of the state directory. A Log writes,
// a Reader searches; both may be at work in different processes at the same time.
//
// The log is no part of any promise about mail. It runs with synchronous=NORMAL, so a power cut may lose the last moments;
// what the disk or the queue cannot take is counted and dropped. Writing never makes the caller wait, a damaged file is
// set aside and never stops anything, and old days go by unlinking their file, which costs milliseconds where deleting rows
// costs minutes.
//
// While a day lasts, its events go into blocks, up to 500 at once: their searchable columns one behind the other, and their
// stories (Record, verdict, the rest, evidence) packed beside them. No index is kept: a search reads through the columns, about a
// million a second, and leaves out the blocks of which a sieve says that they do not hold what it looks for. When the day is over, a goroutine that leaves most of a processor to others turns the blocks into rows of
// a table with indexes, of trigrams too; the stories stay where they are. The answers are the same before, after and between.
// A story reads back as the gateway.Event that was written, and its Record can be judged again. An event is written once;
// where one is written again, the later is traced and listed.
//
// The package never judges, never prints, never opens a network connection and never changes a policy. No RFC applies.
package store
