// Package oidc proves people by an issuer of OpenID Connect (OpenID Connect Core 1.0), with the authorization code flow, PKCE
// (RFC 7636), state and nonce.
//
// A login is two calls: Start gives the address that the browser goes to and a ticket that the browser keeps in a cookie; Finish
// takes what the browser brings back, and the ticket. The ticket is sealed and holds all that a login needs to go on, so that
// whoever only starts logins fills nothing here. It is worth one Finish, in the browser that has it.
//
// It trusts nobody on the way, and the issuer no more than it must: calls are bounded in time, in size and in number, lead to
// https only (or to this machine, where the issuer is there), and follow no redirect. It decides nothing of what somebody may do.
package oidc
