// Package recipients tells whether a recipient exists, before the message: it asks the next hop (call-ahead) and
// remembers the answers.
//
// A yes holds for 24 hours, and longer while no next hop can be asked. A no is asked again live each time, and only stands
// in for 10 minutes while no next hop can be asked. Any other refusal with 5xx holds for that sender and recipient for a
// day, over the sender's retries. A 4xx is told as it is and never remembered. The first question for a recipient is asked
// once, however many sessions wait for the answer.
//
// It never takes a refusal for "unknown" unless its enhanced code says so (5.1.0, 5.1.1 or 5.1.10 of RFC 3463 and its
// registry, at RCPT), never invents a refusal, and never lets a recipient pass as known that no next hop ever took. Its
// memory is bounded. The case of a local part counts, that of a domain does not (RFC 5321 section 2.4).
package recipients
