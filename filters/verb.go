package filters

import (
	"context"
	"path"
	"strings"

	"gatepost/gateway"
)

// verb looks for words of other protocols in place of a verb.
func verb() Definition {
	return Definition{
		Name: "verb", Stage: gateway.Connect,
		Doc:    "Did the client send words of another protocol, or lines of a message, in place of commands? It runs at each word that is no SMTP verb. Held until RCPT; drop ends the session at once. A session that begins with an HTTP request, a TLS hello or binary junk is closed whatever stands here.",
		RFC:    "RFC 5321 section 4.1.1",
		Action: gateway.ActionDrop, Unknown: gateway.ActionObserve,
		Measures: []Measure{{"foreign", "a word of the list, or another protocol", 3}},
		Options:  &Verbs{Foreign: foreignWords()},
		Build: func(options any, _ *Deps) (Built, error) {
			o := options.(*Verbs)
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return o.find(&in.Session.Conduct) }}, nil
		},
	}
}

// foreignWords are the methods and headers of HTTP, the fields of a message that is sent though DATA was refused, and the
// first words of SSH, SIP, POP3 and IMAP.
func foreignWords() []string {
	return []string{"CONNECT", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "HTTP/*", "Host:", "User-Agent:", "Accept:",
		"Accept-*:", "Connection:", "Content-*:", "Cookie:", "Referer:", "Received:", "From:", "To:", "Cc:", "Subject:", "Date:",
		"Message-ID:", "MIME-Version:", "SSH-*", "REGISTER", "INVITE", "USER", "PASS", "LOGIN"}
}

// Verbs are the options of checks.verb.
type Verbs struct {
	Foreign []string `toml:"foreign" example:"GET" doc:"Words, up to the first space, that no mail server sends as a command: with * for any text but a slash and ? for one letter, in either case."`
}

// Validate refuses patterns that cannot be read.
func (o *Verbs) Validate(report func(key, message, instead string)) {
	reportPatterns("foreign", o.Foreign, report)
}

func (o *Verbs) find(c *gateway.Conduct) gateway.Finding {
	if c.Alien != "" {
		return gateway.Failed(gateway.VerbForeign, c.Alien).With(foreign(c.Alien))
	}
	for _, word := range c.Words {
		for _, p := range o.Foreign {
			if matchesWord(p, word) {
				return gateway.Failed(gateway.VerbForeign, word).With(foreign(word)).Show("pattern", p)
			}
		}
	}
	return gateway.Passed()
}

func foreign(word string) gateway.Measure {
	return gateway.Measure{Name: "foreign", Value: 1, Text: word}
}

func matchesWord(pattern, word string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(word))
	return ok && err == nil
}
