package accept

import "gatepost/gateway"

// Result is how a transaction ended.
type Result struct {
	Reply     gateway.Reply    // the one reply after the dot, with the reference
	Relayed   *gateway.Relayed // what came of the relay; nil when none was tried
	Spooled   string           // why the message is in the spool; "" where it is not
	Again     bool             // the ledger knew that all of it was delivered before: nothing was relayed
	Removed   []string         // names of incoming fields that were removed, in their order
	Edits     []string         // what else was changed or added, or could not be: "subject", "sealed i=2"
	ScannedBy []string         // what scanned the message, with versions
	// Claim is to be told by Heard whether the client read the 250; nil where nobody wants to know. A command that it sent
	// after the 250 was written proves that it did.
	Claim gateway.Claim
	waits bool // the end of the relay is still listened for: the claim is open, and no more is to be told of it here
}
