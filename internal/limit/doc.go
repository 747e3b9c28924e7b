// Package limit says how much of what one client, network, sender or recipient may bring in how much time, and counts it.
//
// It counts by the generic cell rate algorithm (GCRA, ITU-T I.371): of each key one number is kept, its theoretical arrival
// time (TAT), the moment at which it is at rest again. Each unit moves it one interval further away from now; what would
// move it further than the burst is over the limit. All of it is integers, in microseconds, so that each Store, a script in
// Redis too, comes to the same answer.
//
// A Store counts; it never decides what becomes of mail. One that fails answers with an error, which is neither over the
// limit nor below it. Limits are data: Defaults lists them, and who asks makes Charges of them.
package limit
