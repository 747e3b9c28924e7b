package quarantine

import (
	"fmt"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
)

// lessonOf tells what engines learn from a message.
func lessonOf(l *quarantine.Lesson) (word, text string) {
	word, text = "Not learned", "as "+l.As
	switch {
	case l.Done:
		word = "Learned"
	case l.Due:
		word = "To learn"
	}
	if l.Tries > 0 {
		text += ", " + cli.Stamp(l.At)
	}
	if l.Due && l.Tries > 0 {
		text += fmt.Sprintf(", %d failed, and it is tried again", l.Tries)
	}
	return word, text + ": " + gateway.CleanText(l.Said, 300)
}
