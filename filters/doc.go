// Package filters holds every check, one file each, and ties one engine to one word of the contract.
//
// A file defines its check (name, one sentence with its RFC, defaults), its options, and what runs. Its name is then put
// where it belongs in plan.go. From the definition come the strict section of policy.toml, gatepost explain, and the
// labels of log and metrics. A filter reports what it saw; it never scores, never words a reply and never decides.
package filters
