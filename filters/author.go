package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/author"
)

// authorCheck looks at whom the message says it is from.
func authorCheck() Definition {
	return Definition{
		Name: "author", Stage: gateway.Data,
		Doc:    "Has the message one author that every mail client shows: exactly one From field, of which every reader takes the same one address, and no field that could be taken for From? What is no plain address is refused and never guessed at; a display name that deceives costs points.",
		RFC:    "RFC 5322 section 3.6.2, RFC 6854, RFC 7489 section 6.6.1",
		Action: gateway.ActionReject, Unknown: gateway.ActionDefer,
		Reasons: map[gateway.Reason]gateway.Action{gateway.AuthorAmbiguous: gateway.ActionReject, gateway.AuthorDisguised: gateway.ActionReject},
		Measures: []Measure{
			{"poses", "the display name or a comment holds an address of another domain", 1},
			{"veiled", "the display name holds control octets, or turns the direction of text", 2},
			{"nodomain", "the author has no domain of the Internet: a single label, an IP address, or a group without members", 2},
		},
		Build: func(any, *Deps) (Built, error) {
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return runAuthor(in.Envelope) }, Ready: always}, nil
		},
	}
}

// authorOf is whom the message says it is from, read once. Its Domain is "" wherever that is not beyond doubt: nothing may
// then be taken for authenticated.
func authorOf(e *gateway.Envelope) author.Author {
	return gateway.Fact(&e.Facts, "author", func() author.Author {
		if e.Header == nil {
			return author.Of(nil, false)
		}
		return author.Of(e.Header.Raw, e.Options.UTF8)
	})
}

func runAuthor(e *gateway.Envelope) gateway.Finding {
	a := authorOf(e)
	f := gateway.Passed()
	if a.Ambiguous() {
		f = whyAmbiguous(&a)
	}
	for _, p := range a.Problems {
		if p.Kind.Mild() {
			f = f.With(gateway.Yes("nodomain"))
		}
		f = f.Show("problem", p.String())
	}
	for i, from := range a.Addresses {
		if i == 5 {
			break
		}
		f = f.Show("author", gateway.CleanText(from.String(), 320))
	}
	if len(a.Poses) > 0 {
		f = f.With(gateway.Measure{Name: "poses", Value: 1, Text: a.Poses[0]}).Show("poses as", strings.Join(a.Poses, ", "))
	}
	if a.Veiled {
		f = f.With(gateway.Yes("veiled"))
	}
	if a.EightBit && !e.Options.UTF8 {
		f = f.Show("name", "8-bit text without SMTPUTF8")
	}
	if a.Mbox {
		f = f.Show("first line", "separator of an mbox file")
	}
	return f
}

// whyAmbiguous tells the sender's postmaster the one thing to mend first: what disguises itself, then how many fields there
// are, then what one of them says.
func whyAmbiguous(a *author.Author) gateway.Finding {
	switch {
	case a.Has(author.Disguised):
		return gateway.Failed(gateway.AuthorDisguised, author.Disguised.String())
	case a.Has(author.SeveralFields):
		return gateway.Failed(gateway.AuthorAmbiguous, author.SeveralFields.String())
	}
	for _, p := range a.Problems {
		if !p.Kind.Mild() {
			return gateway.Failed(gateway.AuthorAmbiguous, p.Kind.String())
		}
	}
	return gateway.Failed(gateway.AuthorAmbiguous)
}
