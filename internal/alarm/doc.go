// Package alarm keeps what is wrong until it is over, and tells people of it.
//
// An alarm is one thing that is wrong with one object: it has a name that stays (kind and object), begins, is seen again, may be
// acknowledged by somebody, and ends. A Book holds the alarms of one node. What begins and ends within a short time is told as
// one notice, so that five hundred alarms are one mail; what nobody has acknowledged is told again after a while. Notices go by
// paths (mail, a webhook), each with a bounded queue and attempts of its own: one that fails or hangs holds up neither another
// nor whoever raises an alarm, and is an alarm itself, which the others tell.
//
// The package knows no mail server, no configuration and no health: others raise and clear. No RFC applies, but for the mails
// that Notice.Mail writes (RFC 5322).
package alarm
