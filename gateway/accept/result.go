package accept

import "gatepost/gateway"

// Result is how a transaction ended.
type Result struct {
	Reply     gateway.Reply    // the one reply after the dot, with the reference
	Relayed   *gateway.Relayed // what came of the relay; nil when none was tried
	Removed   []string         // names of incoming fields that were removed, in their order
	Edits     []string         // what else was changed or added, or could not be: "subject", "sealed i=2"
	ScannedBy []string         // what scanned the message, with versions
}
