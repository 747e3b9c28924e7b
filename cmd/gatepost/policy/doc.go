// Package policy is the noun "policy" of the daemon and of the command line: what can be asked about versions of the policy,
// and the commands that ask it. internal/versions knows how a version comes in force.
//
// It decodes no policy and puts none in force. No RFC applies.
package policy
