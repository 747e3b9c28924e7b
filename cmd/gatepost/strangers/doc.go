// Package strangers is what can be asked of greylisting, and done to what it remembers: the operations, and the commands that ask
// them; who stands behind its keys, and how long mail was held.
//
// Somebody of some domains sees who waits for those, as far as names are known, and changes nothing. What decides lies in package
// greylist, which knows no names. No RFC applies; greylisting is told of in RFC 6647.
package strangers
