package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"gatepost/internal/lab/mails"
)

// outcome is what became of one mail.
type outcome struct{ told, got, why string }

// wanted is how the outcome of a mail must begin.
func (it item) wanted() outcome {
	if it.want != nil {
		return *it.want
	}
	if it.mail.Kind == mails.Clean && it.mail.To == mailbox {
		return outcome{told: "250 ", got: unchanged}
	}
	return outcome{told: "550 ", got: nothing}
}

// demo sends the mails and prints the table. An outcome that is not as it must be
// is an error.
func (w *world) demo(ctx context.Context, out io.Writer) error {
	all, err := items(w.options.big, w.keys)
	if err != nil {
		return err
	}
	w.say("beside the mails, strangers: one that waits and comes again, one on a DNS list, and one with too much to say")
	var strangers []gated
	var failed error
	var beside sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer beside.Wait()
	defer cancel()
	beside.Go(func() { strangers, failed = w.strangers(ctx) })
	outcomes := make([]outcome, len(all))
	for i, it := range all {
		w.say("%d/%d %s (with %s)", i+1, len(all), it.title, it.with)
		told, err := w.send(ctx, it)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", it.title, err, w.gatepost.Log())
		}
		outcomes[i].told = told
		if strings.HasPrefix(told, "250") {
			// Postfix has it, and delivers it in its own time.
			if err := w.postfix.AwaitEmptyQueue(ctx); err != nil {
				return err
			}
		}
	}
	w.say("the gate: a client that talks before the banner, and one that comes too often")
	turnedAway, err := w.gate(ctx)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, w.gatepost.Log())
	}
	if beside.Wait(); failed != nil {
		return fmt.Errorf("%w\n%s", failed, w.gatepost.Log())
	}
	turnedAway = append(turnedAway, strangers...)
	skipped := make(map[string]bool)
	for i, it := range all {
		var err error
		if outcomes[i].got, err = w.delivered(it.mail); err != nil {
			return err
		}
		if outcomes[i].why, err = w.why(ctx, outcomes[i].told, skipped); err != nil {
			return fmt.Errorf("%s: %w", it.title, err)
		}
	}
	t := table{out: out, widths: []int{28, 44, 30, 44}}
	t.row("sent", "the sender was told", "the mailbox got", "why")
	t.rule()
	for i, it := range all {
		t.row(it.title, outcomes[i].told, outcomes[i].got, outcomes[i].why)
	}
	for _, g := range turnedAway {
		t.row(g.title, g.told, g.got, g.why)
	}
	fmt.Fprintf(out, `
PROXY headers name the clients (listener "proxied"), so that they are strangers: a mail server, which
waited six seconds for its first banner and is known since, and for the last rows five others. So that
it shows at once, policy.toml lets a suspect stranger wait %s and not 2 minutes, and any stranger send
%d mails in ten minutes and not 20 in one.
`, guestDelay, floodMost)
	if len(skipped) > 0 {
		fmt.Fprintf(out, "Checks that had nothing to look at in some of them: %s.\n", strings.Join(slices.Sorted(maps.Keys(skipped)), ", "))
	}
	if err := w.showStories(ctx, out, all, outcomes); err != nil {
		return err
	}
	if err := w.showDeciding(ctx, out, strangers); err != nil {
		return err
	}
	if err := w.quarantine(ctx, out, all, outcomes); err != nil {
		return err
	}
	if err := w.showRedis(out); err != nil {
		return err
	}
	var wrong []error
	for _, g := range turnedAway {
		if !strings.HasPrefix(g.told, g.want) || strings.HasPrefix(g.got, unchanged) != strings.HasPrefix(g.want, "250") {
			wrong = append(wrong, fmt.Errorf("%s: %s, %s: want %s", g.title, g.told, g.got, g.want))
		}
	}
	for i, it := range all {
		if want := it.wanted(); !strings.HasPrefix(outcomes[i].told, want.told) || !strings.HasPrefix(outcomes[i].got, want.got) {
			wrong = append(wrong, fmt.Errorf("%s: want %s and %s", it.title, want.told, want.got))
		}
	}
	w.hints(out, all, outcomes)
	return errors.Join(wrong...)
}

// showStories prints what a delivered mail carries of who sent it, and the whole stories of two that were refused, as a
// help desk would ask for them: one for what is in it, one for who it says it is from.
func (w *world) showStories(ctx context.Context, out io.Writer, all []item, outcomes []outcome) error {
	signed := slices.IndexFunc(all, func(it item) bool { return it.title == titleSigned })
	results, err := w.results(all[signed].mail)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWho really sent it is told to the mailbox. In %q:\n\n%s", all[signed].title, results)
	for _, is := range []func(item) bool{
		func(it item) bool { return it.mail.Kind == mails.Virus },
		func(it item) bool { return it.title == titleSpoof },
	} {
		i := slices.IndexFunc(all, is)
		reference := referenceIn(outcomes[i].told)
		story, err := w.tell(ctx, reference)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "\nEach reference tells its story. That of %q:\n\n$ gatepost trace %s\n%s", all[i].title, reference, story)
	}
	// Here it cannot say that all is well: the internet is not there, and the demo's domain publishes little.
	page, complaint, _, err := w.gatepost.Command(ctx, "doctor")
	if err != nil || page == "" {
		return fmt.Errorf("gatepost doctor: %s: %w", complaint, err)
	}
	fmt.Fprintf(out, "\nWhat an admin looks at first, when something is wrong:\n\n$ gatepost doctor\n%s", page)
	return nil
}

// tell is the story of a reference, as a person reads it.
func (w *world) tell(ctx context.Context, reference string) (string, error) {
	story, complaint, code, err := w.gatepost.Command(ctx, "trace", reference)
	if err != nil || code != 0 {
		return "", fmt.Errorf("gatepost trace %s: exit code %d: %s: %w", reference, code, complaint, err)
	}
	return story, nil
}
