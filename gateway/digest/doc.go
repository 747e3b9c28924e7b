// Package digest tells recipients by mail what is in quarantine for them: who sends it, when it came and why it is kept, and
// nothing of what is in it. A line that the recipient may release himself has a link with a token, which names the message,
// the recipient, what it is for, and when it ends, and which nobody but the holder of the key can make.
//
// A message is told of at least once: that it was told is noted after the next hop took the digest. Where a crash comes
// between, the same digest is sent again, with the same Message-ID. It never releases anything: whoever answers links does.
package digest
