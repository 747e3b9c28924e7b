package access

import "slices"

// Right is what an operation asks of whoever calls it. The list is closed; the names stand in tokens, in the API's
// description and in what refuses.
type Right string

// The rights.
const (
	StatusRead       Right = "status.read"       // health, counters, versions
	LogRead          Right = "log.read"          // what became of mail, with subjects where policy keeps them
	QuarantineRead   Right = "quarantine.read"   // the list and the reasons, never what is in a message
	QuarantineView   Right = "quarantine.view"   // what is in a message; each look is audited
	QuarantineChange Right = "quarantine.change" // release, delete, report, forward
	QueueRead        Right = "queue.read"        //
	QueueChange      Right = "queue.change"      // retry, hold, bounce, delete, reroute
	ListsRead        Right = "lists.read"        // allow and block entries
	ListsChange      Right = "lists.change"      //
	SendersRead      Right = "senders.read"      // greylist, reputation, limits, recipients
	SendersChange    Right = "senders.change"    //
	PolicyRead       Right = "policy.read"       // versions, drafts, what-if
	PolicyDraft      Right = "policy.draft"      // write drafts; nothing takes effect by it
	PolicyPublish    Right = "policy.publish"    // publish, confirm, roll back
	ReportsRead      Right = "reports.read"      // reports about DMARC and TLS that others sent
	SystemRead       Right = "system.read"       // nodes, certificates, DNS, engines, settings
	SystemChange     Right = "system.change"     // reload, drain, renew, keys, settings
	AlarmsRead       Right = "alarms.read"       //
	AlarmsChange     Right = "alarms.change"     // acknowledge, silence, test
	BypassChange     Right = "bypass.change"     // leave out a check for a while
	UsersRead        Right = "users.read"        // users, sessions, tokens
	UsersChange      Right = "users.change"      //
	AuditRead        Right = "audit.read"        //
	PrivacyChange    Right = "privacy.change"    // export or erase what is kept of a person
	ApplianceChange  Right = "appliance.change"  // update the appliance, go back, restart it; backups: make, fetch, restore in the first run
	Own              Right = "own"               // of oneself: password, codes, sessions; every user has it
)

// Rights are all of them, in their order.
func Rights() []Right {
	return []Right{StatusRead, LogRead, QuarantineRead, QuarantineView, QuarantineChange, QueueRead, QueueChange, ListsRead, ListsChange,
		SendersRead, SendersChange, PolicyRead, PolicyDraft, PolicyPublish, ReportsRead, SystemRead, SystemChange, AlarmsRead, AlarmsChange,
		BypassChange, UsersRead, UsersChange, AuditRead, PrivacyChange, ApplianceChange, Own}
}

// Known reports whether it is one of Rights.
func (r Right) Known() bool { return slices.Contains(Rights(), r) }

// Bounded reports whether what the right shows or changes belongs to domains, so that somebody who has only some of them
// can have it. All others are of the whole installation.
func (r Right) Bounded() bool {
	switch r {
	case LogRead, QuarantineRead, QuarantineView, QuarantineChange, QueueRead, ListsRead, ListsChange, SendersRead, ReportsRead, AuditRead, Own:
		return true
	}
	return false
}

// Role is a fixed set of rights under a name that mail admins know.
type Role string

// The roles.
const (
	Owner             Role = "owner"              // everything
	Operator          Role = "operator"           // everything but users, privacy, the audit log and the version of the appliance
	DomainAdmin       Role = "domain-admin"       // mail, quarantine and lists
	QuarantineManager Role = "quarantine-manager" // quarantine, and the log to judge by
	HelpDesk          Role = "help-desk"          // finds and explains, and releases what is no malware
	Auditor           Role = "auditor"            // reads all but what is in mail, and changes nothing
)

// Roles are all of them, the most able first.
func Roles() []Role {
	return []Role{Owner, Operator, DomainAdmin, QuarantineManager, HelpDesk, Auditor}
}

// Known reports whether it is one of Roles.
func (r Role) Known() bool { return slices.Contains(Roles(), r) }

// Has reports whether the role has the right, for all domains.
func (r Role) Has(right Right) bool {
	if right == Own {
		return r.Known()
	}
	switch r {
	case Owner:
		return right.Known()
	case Operator:
		return right.Known() && !slices.Contains([]Right{UsersRead, UsersChange, AuditRead, PrivacyChange, ApplianceChange}, right)
	case DomainAdmin:
		return slices.Contains([]Right{LogRead, QuarantineRead, QuarantineView, QuarantineChange, QueueRead, ListsRead, ListsChange, SendersRead, ReportsRead}, right)
	case QuarantineManager:
		return slices.Contains([]Right{LogRead, QuarantineRead, QuarantineView, QuarantineChange, ListsRead}, right)
	case HelpDesk:
		return slices.Contains([]Right{LogRead, QuarantineRead, QuarantineChange, QueueRead, ListsRead, SendersRead}, right)
	case Auditor:
		return slices.Contains([]Right{StatusRead, LogRead, QuarantineRead, QueueRead, ListsRead, SendersRead, PolicyRead, ReportsRead, SystemRead, AlarmsRead, UsersRead, AuditRead}, right)
	}
	return false
}
