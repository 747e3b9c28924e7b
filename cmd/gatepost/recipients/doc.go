// Package recipients is what can be asked of recipients, of their directories and of next hops that are asked for them: the
// operations, the commands that ask them, and how directories and next hops are told of in words.
//
// Somebody of some domains asks for addresses of those, and changes nothing. What knows recipients is gateway/recipients and
// internal/directory. RFC 5321 sections 3.6.2 and 4.5.1.
package recipients
