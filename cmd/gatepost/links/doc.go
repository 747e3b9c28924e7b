// Package links is what admins see and do of the addresses that users of the portal linked to their own: its operations, and
// gatepost portal.
//
// A link is of two addresses: whoever has some domains only sees those of which one is his, and of the other nothing but that there
// is one. No RFC applies.
package links
