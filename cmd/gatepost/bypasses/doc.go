// Package bypasses leaves out a check for a while, when mail must go on and there is no time to find out why it does not: the book
// of what is left out, its operations, and gatepost bypass.
//
// It never leaves out what keeps malware out, tells who exists, or whom we serve. Each bypass is an alarm, ends by itself, and is kept
// over a restart with its end. No RFC applies.
package bypasses
