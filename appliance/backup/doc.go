// Package backup writes all that a gateway needs to be made anew into one encrypted file, reads such a file, and puts what is in it
// in the place of what is there.
//
// The file is age's (age-encryption.org/v1), to public keys or to a passphrase. In it is a tar archive, compressed by gzip:
//
//	gatepost-backup.json    the head: form, version, host, time
//	state/...               the state folder
//	config/...              the folder of the documents, where it is not within the state folder
//	files/...               files elsewhere that the documents name, by their whole paths
//	manifest.json           the manifest: the head, and of each member its length, SHA-256 and schema; and what was left out
//
// Databases are never copied as they lie: the caller takes a snapshot. All other files are replaced whole by those who write
// them, so that what is read of one is old or new. What is not in it, since a copy of it would do harm or is of no use: the spool, whose
// mail would be delivered twice, messages on their way, sockets, the lock.
//
// Age says that a file is whole and not changed, but to public keys anybody can write one: who restores must know where it comes from.
//
// A restore is prepared in a folder of its own within the state folder, and begins with one file, restore.json, being renamed to its
// name: before that the old state stands; after it, whoever comes next (Resume) brings it to its end. So nothing but renames is done to what
// stands there, and what was there lies in before-TIME until somebody removes it.
//
// The package never knows mail, asks no daemon, and says nothing to anybody. No RFC applies; the form of tar is that of POSIX.1-2001.
package backup
