// Package replay judges recorded mail again under a draft policy (what-if): how many messages would have had another verdict,
// which, and what people said of them.
//
// Each message is let through the draft's pipeline once more, with what was found of it in the place of checks, and judged by
// gateway.Policy, as when it came: first what is said at RCPT, then, of whom that lets in, the message. Where a check would
// have had to answer that did not run, or content would have been read that never came, it is *not known* what the draft would
// have done, if any answer could have made another verdict; see Trial. Nothing is guessed.
//
// It reads the message log alone and changes nothing. Memory is bounded by a block of the log and by the list that is asked
// for. A run leaves a fifth of one processor's time, at least, to others. No RFC applies.
package replay
