// Package mime walks a message once and tells what it is made of: a tree of parts that all checks of its content share. It
// reads the message the way mail clients do, and notes every place where clients may disagree: what one of them would show
// and another would not is a part of the tree too (Part.Doubt), and a Defect says why.
//
// It never fails on what a message holds, and its memory and time are bounded by Limits for any input. It changes nothing,
// decodes nothing that Limits do not allow for, and unpacks no archive: that is done elsewhere, in a process of its own.
//
// RFC 2045 to 2047, 2049, 2183, 2231, 5322, 6532.
package mime
