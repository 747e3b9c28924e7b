// Package access says who may do what: the roles, the rights that each has, and the actor, who is behind a call of the
// console, the API, or the command line.
//
// A right is what an operation asks for. A role is a fixed set of rights; an actor has one role, for all domains or for
// some, and a token of his may have fewer rights than he. Actors of some domains only have the rights that can be bounded
// by a domain, and each operation bounds what it shows and changes by Actor.Sees.
//
// The package keeps nothing, asks nobody who he is, and knows no HTTP. No RFC applies.
package access
