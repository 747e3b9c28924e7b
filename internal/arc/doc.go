// Package arc verifies Authenticated Received Chains and adds to them (RFC 8617). It is made of the parts of internal/dkim:
// the same tag lists, canonicalisation, pass over the body, keys and maths.
//
// It is an engine: it knows nothing of Gatepost, keeps no state, writes no log, and trusts nobody. A chain that passes says
// only who handled the message and what they wrote about it; whether to believe that is for others to say. A chain is at
// most 50 sets long, and what is beyond that is not looked at.
//
//	message -> Check (structure) -> Want (keys, body) -> one fetch of keys, one pass over the body -> Finish -> Chain
//
// Verify does all of it for one message; a caller that verifies DKIM as well lets both want first.
package arc
