package quarantine

import (
	"fmt"
	"strings"

	"gatepost/gateway"
)

// Class is what kind of mail a message is: how long it is kept, what goes first when the vault is full, and who may release
// it.
type Class uint8

// The classes, from the mildest to the gravest.
const (
	Spam          Class = iota // points, reputation, lists, rules of an engine: what a user may release
	Other                      // anything else that policy quarantines
	Unscanned                  // a scanner could not tell
	DMARC                      // its author is not who he says
	Impersonation              // it looks like somebody it is not
	Attachment                 // encrypted, executable, forbidden, or not to be looked into
	Malware
)

func classNames() []string {
	return []string{"spam", "other", "unscanned", "dmarc", "impersonation", "attachment", "malware"}
}

// Classes returns all, from the mildest to the gravest.
func Classes() []Class {
	return []Class{Spam, Other, Unscanned, DMARC, Impersonation, Attachment, Malware}
}

// String returns the name.
func (c Class) String() string { return nameOf(classNames(), c) }

// MarshalText writes the name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name.
func (c *Class) UnmarshalText(b []byte) error { return parseName(classNames(), "class", b, c) }

// UserMay reports whether the recipient himself may release such mail. Whoever was deceived by a message, or cannot know what
// is in it, is the last one to ask.
func (c Class) UserMay() bool { return c == Spam }

// classOf is the class of what decided, or of what was found; "" is the sum of points.
func classOf(r gateway.Reason) Class {
	switch r {
	case "", gateway.DMARCUnasked, gateway.DMARCBroken, gateway.ReplyElsewhere, gateway.FirstContact, gateway.URLOdd, gateway.AccessUnproven, gateway.AccessOwn:
		return Spam // found in much mail that is what it says
	case gateway.URLDisguised, gateway.URLLookalike:
		return Impersonation
	}
	group, _, _ := strings.Cut(string(r), ".")
	switch group {
	case "dmarc", "author":
		return DMARC
	case "impersonation":
		return Impersonation
	case "attachments", "unpack", "mime":
		return Attachment
	case "malware":
		return Malware
	case "scanner":
		return Unscanned
	case "milter", "hook", "access", "check":
		return Other
	}
	return Spam
}

// unknownClass is that of a check that could not tell: what no scanner saw may be anything.
func unknownClass(f *gateway.Finding) Class {
	if f.Stage == gateway.Data {
		switch c := classOf(f.Reason); c {
		case Unscanned, Attachment:
			return c
		}
	}
	return Spam
}

func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%d", uint8(v))
}

func parseName[T ~uint8](names []string, what string, b []byte, v *T) error {
	for i, n := range names {
		if n == string(b) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s: %q is not one of %s", what, gateway.CleanText(string(b), 40), strings.Join(names, ", "))
}
