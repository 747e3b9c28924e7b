// Package dkim verifies DKIM signatures (RFC 6376, 8301, 8463), and has the parts that ARC (RFC 8617) is made of too: tag
// lists, canonicalisation, the one pass over a body, keys, and the maths of signatures.
//
// It is an engine: it knows nothing of Gatepost, keeps no state, writes no log and never decides whether a message is
// taken. It parses no header section either: its caller cuts the fields, so that one parser in the house says what a field
// is. Whatever a message or a key record holds, the work is linear in its size and bounded in count; what is beyond a
// bound is told and never passes.
//
//	message -> Check (parse) -> BodyHasher (one pass) and Keys (parallel) -> Finish -> []Result
//
// Verify does all of it for one message; a caller that also verifies ARC lets both collect what they want first.
package dkim
