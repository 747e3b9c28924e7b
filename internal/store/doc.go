// Package store keeps the message log: one SQLite file for each UTC day, in a folder of the state directory. A Log writes,
// a Reader searches; both may be at work in different processes at the same time.
//
// The log is no part of any promise about mail. It runs with synchronous=NORMAL, so a power cut may lose the last moments;
// what the disk or the queue cannot take is counted and dropped. Writing never makes the caller wait, a damaged file is
// set aside and never stops anything, and old days go by unlinking their file, which costs milliseconds where deleting rows
// costs minutes.
//
// An event is in three places: its searchable columns in a slim table (so that a scan reads little), its recipients in a
// table of their own, and its story (Record, verdict, the rest, evidence) as JSON. The story reads back as the
// gateway.Event that was written, and its Record can be judged again.
//
// The package never judges, never prints, never opens a network connection and never changes a policy. No RFC applies.
package store
