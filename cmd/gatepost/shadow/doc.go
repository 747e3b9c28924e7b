// Package shadow lets a draft of the policy judge live mail beside the policy in force: what it would have done is counted, and nothing
// else comes of it. It is the noun "policy shadow" of the daemon and of the command line; internal/replay judges.
//
// It is beside the path of mail: who brings a message waits for nothing, and what comes faster than it can be judged is left out and
// counted. A run lives in this process, and ends with it. No RFC applies.
package shadow
