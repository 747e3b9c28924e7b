package journal

import (
	"slices"

	"gatepost/gateway"
)

// Verb is what a line tells of. The list is closed, so that lines can be counted.
type Verb string

// The verbs of mail.
const (
	Connection  Verb = "connection"
	Transaction Verb = "transaction"
	Early       Verb = "early" // connections refused before the banner, by reason and minute
)

// The verbs of mail in the spool, each with the reference of its message.
const (
	SpoolQueued    Verb = "spool_queued"
	SpoolDelivered Verb = "spool_delivered"
	SpoolDeferred  Verb = "spool_deferred"
	SpoolFailed    Verb = "spool_failed"
	SpoolNotified  Verb = "spool_notified"
	SpoolDead      Verb = "spool_dead"
	SpoolDamaged   Verb = "spool_damaged"
	SpoolOperator  Verb = "spool_operator" // a person held, released, retried, bounced, deleted or rerouted a message
	SpoolLatched   Verb = "spool_latched"  // the disk failed, and nothing is taken any more
	SpoolCleared   Verb = "spool_cleared"  // a person said that it works again
)

// spoolVerbs returns them.
func spoolVerbs() []Verb {
	return []Verb{SpoolQueued, SpoolDelivered, SpoolDeferred, SpoolFailed, SpoolNotified, SpoolDead, SpoolDamaged, SpoolOperator, SpoolLatched, SpoolCleared}
}

// The verbs of mail in quarantine, each with the reference of its message.
const (
	QuarantineStored    Verb = "quarantine_stored"
	QuarantineExpired   Verb = "quarantine_expired"
	QuarantineEvicted   Verb = "quarantine_evicted" // the vault was full
	QuarantineDamaged   Verb = "quarantine_damaged"
	QuarantineViewed    Verb = "quarantine_viewed"
	QuarantineReleased  Verb = "quarantine_released"
	QuarantineRefused   Verb = "quarantine_refused" // a release did not come about
	QuarantineDeleted   Verb = "quarantine_deleted"
	QuarantineForwarded Verb = "quarantine_forwarded"
	QuarantineReported  Verb = "quarantine_reported"
	QuarantineLearned   Verb = "quarantine_learned"   // engines were told what it is
	QuarantineUnlearned Verb = "quarantine_unlearned" // they could not be told
	QuarantineOperator  Verb = "quarantine_operator"  // a person did something to the vault as a whole
	QuarantineLatched   Verb = "quarantine_latched"   // the disk failed, and nothing is taken any more
	QuarantineDigest    Verb = "quarantine_digest"    // a recipient was told what is kept for him, or could not be
	QuarantineCleared   Verb = "quarantine_cleared"   // a person said that it works again
)

// quarantineVerbs returns them.
func quarantineVerbs() []Verb {
	return []Verb{QuarantineStored, QuarantineExpired, QuarantineEvicted, QuarantineDamaged, QuarantineViewed, QuarantineReleased, QuarantineRefused,
		QuarantineDeleted, QuarantineForwarded, QuarantineReported, QuarantineLearned, QuarantineUnlearned, QuarantineOperator, QuarantineLatched, QuarantineCleared, QuarantineDigest}
}

// verbOf is the verb of what became of a message in the spool, or in quarantine.
func verbOf(what gateway.FateWord) Verb {
	switch {
	case what.InQuarantine():
		return Verb(what).known()
	case what.ByOperator():
		return SpoolOperator
	}
	return Verb("spool_" + what).known()
}

// The verbs of the daemon.
const (
	Start             Verb = "start"
	Ready             Verb = "ready"
	Reload            Verb = "reload"
	ReloadFailed      Verb = "reload_failed"
	Drain             Verb = "drain"
	Resume            Verb = "resume" // an operator ended a drain
	Stop              Verb = "stop"
	StressOn          Verb = "stress"
	StressOver        Verb = "stress_over"
	Alarm             Verb = "alarm"
	AlarmOver         Verb = "alarm_over"
	ListArmed         Verb = "list_armed"         // a DNS list proved that it works, and is used
	ListAway          Verb = "list_away"          // one does not, or no longer
	ListQuota         Verb = "list_quota"         // one is asked nearly as often as is free of charge
	Greylist          Verb = "greylist"           // an operator let a stranger pass, or had one forgotten
	DirectoryRead     Verb = "directory_read"     // a directory of recipients was read, and is not as it was
	DirectoryFailed   Verb = "directory_failed"   // one cannot be read, or is held back
	Recipients        Verb = "recipients"         // an operator had recipients forgotten, known, or read anew
	Canary            Verb = "canary"             // a next hop takes every recipient, or no postmaster, or no longer so
	Certificate       Verb = "certificate"        // another certificate is shown
	CertificateHeld   Verb = "certificate_held"   // a new one is there, and its key may not be shown yet
	CertificateFailed Verb = "certificate_failed" // a new one cannot be used, or none was brought
	PolicyPublished   Verb = "policy_published"   // another version of the policy is in force
	PolicyUndone      Verb = "policy_undone"      // one was undone, since nobody confirmed it or hardly any mail was accepted
	Note              Verb = "note"               // what the parts of the program say while they work
)

// Verbs returns the list.
func Verbs() []Verb {
	return append([]Verb{Connection, Transaction, Early, Start, Ready, Reload, ReloadFailed, Drain, Resume, Stop, StressOn, StressOver, Alarm, AlarmOver, ListArmed, ListAway, ListQuota, Greylist,
		DirectoryRead, DirectoryFailed, Recipients, Canary, Certificate, CertificateHeld, CertificateFailed, PolicyPublished, PolicyUndone, Note},
		append(spoolVerbs(), quarantineVerbs()...)...)
}

// known returns the verb, or Note for one that is not of the list.
func (v Verb) known() Verb {
	if slices.Contains(Verbs(), v) {
		return v
	}
	return Note
}

// severity of RFC 5424 section 6.2.1.
type severity int

const (
	severityError   severity = 3
	severityWarning severity = 4
	severityNotice  severity = 5
	severityInfo    severity = 6
	severityDebug   severity = 7
)

func (v Verb) severity() severity {
	switch v {
	case ReloadFailed, SpoolDamaged, SpoolLatched, QuarantineDamaged, QuarantineLatched:
		return severityError
	case Alarm, StressOn, ListAway, ListQuota, DirectoryFailed, CertificateHeld, CertificateFailed, PolicyUndone, SpoolFailed, SpoolNotified, SpoolDead, QuarantineEvicted, QuarantineRefused, QuarantineUnlearned:
		return severityWarning
	case Start, Ready, Reload, Drain, Resume, Stop, StressOver, AlarmOver, ListArmed, Greylist, Recipients, DirectoryRead, Certificate, PolicyPublished, SpoolOperator, SpoolCleared,
		QuarantineViewed, QuarantineReleased, QuarantineDeleted, QuarantineForwarded, QuarantineReported, QuarantineOperator, QuarantineCleared:
		return severityNotice
	}
	return severityInfo
}
