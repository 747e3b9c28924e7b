package filters

import (
	"context"
	"slices"
	"strings"
	"sync"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
)

// askAtOnce is how many targets of one recipient are asked about at the same time: an alias must not take all connections
// to a next hop.
const askAtOnce = 4

// askTargets asks about every address that a recipient stands for. It exists when at least one does; those that do not are
// left out from then on, since the next hop would refuse the message for them. It is refused, postponed or not to be told of
// when one of the others is: the message would not be delivered to all, and one reply could not be true. One that is taken
// without being known leaves all of them so.
func (d *Deps) askTargets(ctx context.Context, in *gateway.Input, to gateway.Destination) gateway.Finding {
	answers := d.askAll(ctx, in.Envelope.From, to)
	f := gateway.Passed()
	worst, taken := -1, []gateway.Address(nil)
	for i := range answers {
		switch k := answers[i].Kind; {
		case k == recipients.NotAsked:
			if taken = append(taken, to.To[i]); f.Result == gateway.Pass {
				f = answered(&answers[i], to.To[i], to.Route)
			}
		case k == recipients.Known:
			taken = append(taken, to.To[i])
		case worst < 0 || gravity(k) > gravity(answers[worst].Kind):
			worst = i
		}
	}
	if worst >= 0 && (len(taken) == 0 || answers[worst].Kind != recipients.Unknown) {
		f = answered(&answers[worst], to.To[worst], to.Route)
		if f.Reason == gateway.RcptUnknown {
			f.Args = []string{in.Recipient().Address.Text} // what it stands for is nobody's business
		}
		for i := range f.Args {
			f.Args[i] = strings.ReplaceAll(f.Args[i], to.To[worst].Text, in.Recipient().Address.Text)
		}
	}
	f = f.Show("sent on to", sentOn(&to))
	for i := range answers {
		f = f.Show("target", to.To[i].Text+": "+answers[i].Kind.String())
		if i < 3 || answers[i].Kind != recipients.Known {
			f = showAnswer(f, &answers[i], to.Route)
		}
	}
	if n := len(taken); n > 0 && n < len(to.To) && (f.Result == gateway.Pass || f.Result == gateway.NotRun) {
		to.To = slices.Clip(taken)
		f.Instead = &to
	}
	return f
}

// askAll asks about the targets of a recipient, some at a time.
func (d *Deps) askAll(ctx context.Context, from gateway.Address, to gateway.Destination) []recipients.Answer {
	answers := make([]recipients.Answer, len(to.To))
	var wg sync.WaitGroup
	var panicked [askAtOnce]any
	for first := range min(askAtOnce, len(to.To)) {
		wg.Go(func() {
			defer func() { panicked[first] = recover() }()
			for i := first; i < len(to.To); i += askAtOnce {
				answers[i] = d.Recipients.Ask(ctx, to.Route, from, to.To[i])
			}
		})
	}
	wg.Wait()
	for _, p := range panicked {
		if p != nil {
			panic(p) // where the pipeline makes a finding of it
		}
	}
	return answers
}

// gravity orders what can be said of a target by what it means for all of them.
func gravity(k recipients.Kind) int {
	return slices.Index([]recipients.Kind{recipients.Known, recipients.Unknown, recipients.Away, recipients.Deferred, recipients.Refused}, k)
}

// sentOn tells where the mail of a recipient goes, and by which lines.
func sentOn(to *gateway.Destination) string {
	var names []string
	for i := range to.To {
		if names = append(names, to.To[i].Text); len(names) == 10 && len(to.To) > 10 {
			names = append(names, "and more")
			break
		}
	}
	return strings.Join(to.Why, ", ") + " -> " + strings.Join(names, ", ")
}

// orCatchAll sends the mail of a recipient that does not exist to whom its domain names for it, if that one exists.
func (d *Deps) orCatchAll(ctx context.Context, in *gateway.Input, f gateway.Finding) gateway.Finding {
	if f.Reason != gateway.RcptUnknown {
		return f
	}
	to := d.Policy.CatchAll(in.Recipient().Address)
	if to.Route == "" {
		return f
	}
	caught := d.askTargets(ctx, in, to)
	caught.Evidence = append(append(slices.Clip(f.Evidence), gateway.Evidence{Name: "catch-all", Text: in.Recipient().Address.Text + " is unknown"}), caught.Evidence...)
	switch {
	case caught.Reason == gateway.RcptUnknown:
		caught.Args = f.Args
	case caught.Result != gateway.Fail && caught.Instead == nil:
		caught.Instead = &to
	}
	return caught
}
