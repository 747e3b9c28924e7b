// Package user holds what can be asked about users, tokens, keys of SSH and sessions, by the command line, by programs and by the console's
// pages: the operations, and the commands user, token, ssh key and session.
//
// Who may do what with whom is decided by internal/accounts; this package only words it. No RFC applies.
package user
