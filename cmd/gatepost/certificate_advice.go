package main

import (
	"strings"
	"time"
)

// tell fills in what is wrong and what to do about it, where something is, or waits for somebody.
func (c *certificateState) tell() {
	if c.Why, c.Do = "", []string{}; c.State == certificateOK && c.Next == nil {
		return
	}
	c.Why = c.told()
	say := func(text string) { c.Do = append(c.Do, text) }
	ours := strings.HasPrefix(c.Source, sourceACME)
	switch c.State {
	case certificateMissing:
		say("mend what the last try says; then gatepost tls renew")
	case certificateExpired, certificateLate:
		switch {
		case c.NotBefore.After(time.Now()):
			say("set the clock of this host")
		case ours:
			say("mend what the last renewal says; then gatepost tls renew")
		case c.Bad == "":
			say("have what renews its files run, and read its log: the files are read again by themselves")
		}
	}
	if c.Bad != "" {
		say("put a certificate, and the key that belongs to it, into its files: they are read again by themselves, and until then the one before is shown")
	}
	if len(c.Missing) > 0 {
		say("have a certificate issued that covers " + strings.Join(c.Missing, ", ") + " too, or lead the MX records to a name that one covers")
	}
	if c.Next != nil {
		say("gatepost tls tlsa shows the lines to publish before its successor may be shown")
	}
}
