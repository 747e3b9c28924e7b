// Package versions keeps the policy as a document with versions: who published what, when and why, what differs, and the
// way back.
//
// A Keeper publishes: it has everything built first, then changes the store in one transaction, then puts the version in
// force, then leaves a copy on this node's disk. Whenever the process ends, the old version is in force at the next start or
// the new one, never a part of either. What another node published is followed. A version that nobody confirms in time, or
// under which hardly any mail is accepted any more, is undone; undoing and rolling back are new versions too, so that nothing
// that was published is ever changed.
//
// It knows no table, no socket and no page, and nothing of what a policy says: the daemon decodes and builds. Mail never
// waits for it. No RFC applies.
package versions
