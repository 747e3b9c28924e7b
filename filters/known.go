package filters

import "time"

// Known is what this host learned from the mail before, from its journal: what internal/memory answers. Each method
// answers from memory at once, is safe for concurrent use, and errs towards not knowing. Nothing in it is what a sender
// merely says: a domain is known by the records that DNS gave, a path by an identity that was authenticated.
type Known interface {
	// EnforcesSince tells since when the DMARC record that governs an author domain has asked for quarantine or reject,
	// each time that it was seen; zero if it was never seen to, or does not any more. The domain is an A-label.
	EnforcesSince(author string) time.Time
	// OutageSince tells since when DMARC of an author domain could not be told for want of DNS, without an answer since;
	// zero while it can.
	OutageSince(author string) time.Time
	// Path tells what is known of an indirect path by its identity: "arc:", "dkim:" or "spf:" and the domain that was
	// authenticated, or "ip:" and the network of the client (DMARCResult.Path of the events before).
	Path(identity string) Path
}

// Path is what is known of the way that others' mail takes to us: a mailing list, a forwarder.
type Path struct {
	Since  time.Time // when it was first seen to bring mail that fails DMARC; zero: never
	Proved bool      // what it brought since then says that it forwards, and does not forge
	Why    string    // that, in words, for the evidence
}
