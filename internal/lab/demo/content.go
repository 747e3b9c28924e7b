package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/internal/lab/mails"
)

// protected is whose name the demo's policy protects.
const protected = "Paul Grau"

// Titles of the mails that the demo tells more of.
const (
	titleProgram = "a zip with a program"
	titleNamed   = "a colleague's name, a stranger's address"
)

// content are mails with nothing in them that a virus scanner knows. Dates begin at later.
func content(o mails.Options, later int) []item {
	at := func() mails.Options {
		p := o
		p.Date = o.Date.Add(time.Duration(later))
		later++
		return p
	}
	var out []item
	add := func(m mails.Mail, got string) {
		out = append(out, item{title: m.Title, mail: m, with: "swaks", want: &outcome{told: "250 ", got: got}})
	}
	add(mails.ZippedProgram(at()), nothing)
	add(mails.LockedZip(at()), nothing)
	add(mails.MacroDocument(at()), taken)
	add(mails.LookAlike(at()), nothing)
	o.From = "boss.paul@sender.test"
	add(mails.Named(at(), protected), nothing)
	return out
}

// quarantine shows what an admin does with what was kept: finds it, looks at it, lets one out. Each command is printed as
// it is typed, with what it says.
func (w *world) quarantine(ctx context.Context, out io.Writer, all []item, outcomes []outcome) error {
	named := slices.IndexFunc(all, func(it item) bool { return it.title == titleNamed })
	reference := referenceIn(outcomes[named].told)
	fmt.Fprintf(out, "\nWhat is doubtful is kept, and can be let out. %q, as if it were honest:\n", titleNamed)
	for _, args := range [][]string{{"list"}, {"show", reference}, {"view", reference}, {"release", reference}, {"list", "--state", "released"}} {
		said, complaint, code, err := w.gatepost.Command(ctx, append([]string{"quarantine"}, args...)...)
		if err != nil || code != 0 {
			return fmt.Errorf("gatepost quarantine %s: exit code %d: %s: %w", args, code, complaint, err)
		}
		fmt.Fprintf(out, "\n$ gatepost quarantine %s\n%s", strings.Join(args, " "), said)
	}
	if err := w.postfix.AwaitEmptyQueue(ctx); err != nil {
		return err
	}
	found, err := w.find(all[named].mail)
	if err != nil {
		return err
	}
	if len(found) != 1 || field(found[0], "X-Gatepost-Released") != reference {
		return fmt.Errorf("%s: %d copies in the mailbox after its release", titleNamed, len(found))
	}
	fmt.Fprintf(out, "\nThe mailbox has it now, with X-Gatepost-Released: %s on top.\n", reference)
	return nil
}

// hints are what to try while all runs on, ready to be pasted.
func (w *world) hints(out io.Writer, all []item, outcomes []outcome) {
	if !w.options.stay {
		fmt.Fprint(out, "\nTo try it by hand: scripts/run --demo --stay leaves all of it running, with commands to paste.\n")
		return
	}
	program := slices.IndexFunc(all, func(it item) bool { return it.title == titleProgram })
	reference := referenceIn(outcomes[program].told)
	fmt.Fprint(out, "\nTo try by hand, in another shell, while this runs:\n\n")
	for _, line := range [][2]string{
		{"quarantine list", "what is kept, the newest first"},
		{"quarantine show " + reference, "all that is known of one: why, and what it holds"},
		{"quarantine view " + reference, "its header, its parts and its text; nothing is opened"},
		{"quarantine release " + reference, "let it go to its recipient; clamd looks again"},
		{"quarantine list --reason attachments.", "those that are kept for what is attached"},
		{"trace " + reference, "its whole story, the release too"},
		{"log search --verdict quarantine", "of each message one line"},
	} {
		fmt.Fprintf(out, "  # %s\n  %s %s --config %s\n", line[1], w.gatepost.Program(), line[0], filepath.Join(w.dir, "gatepost"))
	}
}
