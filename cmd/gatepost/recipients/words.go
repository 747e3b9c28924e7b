package recipients

import (
	"fmt"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/directory"
)

// Words is how a directory is, for people.
func Words(s *directory.Status) string {
	out := "never read"
	if s.Ready {
		out = fmt.Sprintf("%d addresses, as seen %s ago", s.Addresses, time.Since(s.Read).Round(time.Second))
	}
	if s.FromCopy {
		out += ", from the copy"
	}
	if s.Told != "" {
		out += " (" + s.Told + ")"
	}
	if s.Error != "" {
		out += "; " + s.Error
	}
	return gateway.CleanText(out, 500)
}

// CanaryWords says what is wrong with a next hop's word, and what to do.
func CanaryWords(c *recipients.Canary) (words string, bad bool) {
	switch {
	case c.Everyone:
		return fmt.Sprintf("route %s: %s takes every recipient of %s, so that its yes is worth nothing: let it refuse at RCPT whom it does not know, or write "+
			"recipients = \"directory\" (Exchange filters recipients only after the message: use directory sync)", c.Route, c.NextHop, c.Domain), true
	case c.NoPostmaster != "":
		return fmt.Sprintf("route %s: %s does not take mail for postmaster@%s, which every domain must (RFC 5321 section 4.5.1): make it there, or write postmaster in policy.toml; it says %s",
			c.Route, c.NextHop, c.Domain, gateway.CleanText(c.NoPostmaster, 200)), true
	}
	return fmt.Sprintf("refuses whom it does not know, as asked %s ago", time.Since(c.Asked).Round(time.Second)), false
}
