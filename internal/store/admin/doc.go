// Package admin keeps the control data: versions of the policy, users, sessions and tokens, the audit log, alarms, settings.
// They are in one SQLite file of the state folder, or, where several nodes share them, in PostgreSQL. Each owner of such data
// has a file here, which implements the Store of the owner's package, and a migration.
//
// The SQL is one text for both: parameters are question marks, times are whole microseconds of UTC, truth is 0 or 1, and what
// differs between tables of the two stands in migrations under a word of its own (see schema.go).
//
// Each call is a transaction and ends by its deadline. A store that is away or hung costs its caller an error after that
// time, and no mail waits for one: nothing on the path of mail calls this package. A file that is damaged is never set aside
// by itself, since without users and rights nobody could say who may come in; it is told, and mail goes on.
//
// No RFC applies.
package admin
