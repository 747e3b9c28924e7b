// Package entries is "gatepost entry" of the daemon and of the command line: the entries of the allow and block lists in force,
// those of the policy and those of recipients' own lists, with how often each is met, and what one that is not written yet would
// have done to recorded mail.
//
// It changes no list: entries of the policy are written in a draft, those of recipients in the portal. No RFC applies.
package entries
