// Package quarantine is what can be asked of the quarantine, and done to mail in it: the operations, and the commands that ask
// them.
//
// Somebody of some domains sees, releases and deletes the copies of recipients in those, and no others. A help desk lets no
// malware go, and nobody reads a message without saying what for. It touches no file: gateway/quarantine does. No RFC applies.
package quarantine
