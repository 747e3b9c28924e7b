// Package whatif is "policy simulate" of the daemon and of the command line: what a draft of the policy would have done to
// the mail of the last days. internal/replay judges; this package asks it, one question at a time, and prints the answer.
//
// It changes nothing and puts nothing in force. No RFC applies.
package whatif
