// Package author tells who a message says it is from: the one address of its one From field (RFC 5322 section 3.6.2), with
// the domain that DMARC authenticates.
//
// Mail clients, lists and filters read a From field that is not plain in different ways: the first or the last of two
// fields, of two addresses or of two pairs of angle brackets, encoded words decoded before or after the field is taken
// apart, comments and quotes known or not (Chen, Paxson, Jiang: Composition Kills, USENIX Security 2020; Shen and others:
// Weak Links in Authentication Chains, USENIX Security 2021; mailsploit). What one of them authenticates another does not
// show. So this package reads as one author only what leaves every reader a single address to show, and calls everything
// else a Problem by a name of a closed list; it never guesses. On the other hand it takes what real mail has and what leaves
// no choice: commas, colons and brackets in a name without quotes, dots anywhere in a local part, raw 8-bit names.
//
// It looks at names of fields too: what a careless reader could take for From is a Problem. Sender, Reply-To and the
// Resent- fields are never the author.
//
// It asks nobody, keeps nothing, and takes time linear in the size of the header section. RFC 5322, RFC 6854 (groups in
// From), RFC 6532 (UTF-8), RFC 2047 (encoded words), RFC 5891 and UTS 46 (internationalised domains).
package author
