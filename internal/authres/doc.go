// Package authres writes and reads Authentication-Results (RFC 8601), and tells which ones of a stranger could be taken for
// ours.
//
// What is written holds strangers' words: addresses, domains, reasons. They can neither end a value, nor add a result, nor
// end the field, not even for a reader that knows nothing of quotes and comments and cuts at semicolons, or looks for
// "dmarc=pass" anywhere: whatever could mislead one is replaced by a question mark.
//
// What is read is taken by the letter of the RFC and by what large senders write. Comments, quotes and folds cannot forge
// a result, and a text that is wrong, or could be read in two ways, is an error and never a result.
//
// RFC 8601 (Authentication-Results), RFC 8616 (internationalised mail), RFC 8617 section 4.1.1 (the same within ARC).
package authres
