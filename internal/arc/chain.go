package arc

import "gatepost/internal/dkim"

// MaxSets is how many sets a chain may have (RFC 8617 section 4.2.1).
const MaxSets = 50

// Result is the state of a chain (RFC 8617 section 4.4), with one more: DNS did not give all keys. The RFC counts that as
// fail (section 5.2.1); kept apart, it can be told from a broken chain, and nobody seals a fail that was none.
type Result uint8

// The results. The zero value is a message without a chain.
const (
	None Result = iota
	Pass
	Fail
	Unknown
)

func (r Result) String() string { return [...]string{"none", "pass", "fail", "unknown"}[r] }

// Chain is what was found of the chain of a message.
type Chain struct {
	Result Result
	Reason string // why it is Fail or Unknown, in words
	// Sets are the sets, Sets[0] that of i=1. Empty when the structure is broken, so that nobody reads what is none.
	Sets []Set
	// OldestPass is the instance of the oldest message signature that still holds, 0 when all do (section 5.2 step 5); the
	// oldest that was looked at in a chain of more than nine. It is told of a chain that passes, when it was asked for; -1
	// otherwise.
	OldestPass int
	// Highest is the highest instance that any field of the chain has, and Ended says that its seal says cv=fail: then
	// nobody adds another set (section 5.1 step 2). Both are read from chains that are broken, too.
	Highest int
	Ended   bool
}

// Set is one set of three fields.
type Set struct {
	Instance int
	Results  string // of its ARC-Authentication-Results, what stands behind i=, folds and comments included
	CV       string // what its seal says of the chain before it: "none" or "pass"
	Seal     Signature
	Message  Signature
}

// Signature is what was found of an ARC-Seal or an ARC-Message-Signature.
type Signature struct {
	Result   Result // Pass, Fail or Unknown; None: not looked at
	Reason   string
	Domain   string // d=, A-labels, lower case
	Selector string // s=
	Bits     int    // of the key, when there was one
	// Algorithm is that of a=.
	Algorithm dkim.Algorithm
	// Whole says that a message signature covers the body to its end, without l=. (From is always covered.)
	Whole bool
	// Doubled are the fields, in lower case, that stand once more above those that a message signature covers.
	Doubled []string
}
