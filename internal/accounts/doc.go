// Package accounts knows who logs in to the console and the API: users, their passwords and second factors, sessions, tokens
// of the API, and the code by which the first owner comes in.
//
// It follows NIST SP 800-63B for passwords (length, a list of the worst, no rules of composition), RFC 9106 (Argon2id), RFC
// 6238 (TOTP), WebAuthn level 3 (passkeys), RFC 6750 (bearer tokens) and RFC 4252 (keys of SSH). A login is a small machine of Steps that knows no
// HTTP. Whatever proves somebody is kept as a digest, but for the secret of TOTP, which is sealed with a key that is not in
// the store.
//
// It never decides what somebody may do with mail (package access does), never waits on the path of mail, and never says
// whether an account exists.
package accounts
