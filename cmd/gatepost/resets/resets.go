// Package resets is how an appliance is brought back to how it was delivered: asked for at the console, by the API and by gatepost appliance reset, and
// done by systemd at the next boot, before the daemon starts (package appliance/reset).
//
// The daemon needs no right of root for it: what is erased is its own, or is emptied at boot because its own is. No RFC applies here.
package resets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"gatepost/appliance/reset"
	"gatepost/appliance/update"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
)

// State is the state folder of an appliance.
const State = "/var/lib/gatepost"

func resetQuestion() control.Operation {
	return control.Do("appliance reset", "/appliance/reset", "Erase everything of the appliance but what shall stay, by a restart, and begin anew", access.ApplianceChange)
}

// Desk is what the operation works with.
type Desk struct {
	State  string // the state folder
	Socket string // of the helper that restarts; see update.Socket
	Log    *slog.Logger
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(resetQuestion(), d.reset)}
}

func (d *Desk) reset(ctx context.Context, in *api.ApplianceReset) (*api.ApplianceErasing, error) {
	keep := slices.Compact(slices.Sorted(slices.Values(in.Keep)))
	control.Changed(ctx, control.Change{Object: "appliance", After: &api.ApplianceErasing{Keep: keep}})
	for _, k := range keep {
		if !slices.Contains(reset.Choices(), k) {
			return nil, &control.Fault{Status: http.StatusBadRequest, Field: "keep", Message: fmt.Sprintf("keep: %q cannot be: %s can", gateway.CleanText(k, 40), strings.Join(reset.Choices(), ", "))}
		}
	}
	if in.Words != reset.Words {
		return nil, &control.Fault{Status: http.StatusBadRequest, Field: "words", Message: "words: type " + reset.Words + "; nothing was erased"}
	}
	a, err := update.Ask(ctx, d.Socket, update.DoStatus, nil, nil)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	if a.Status.Trial {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "this version is on trial: wait until it stays, or is gone"}
	}
	// The audit log is erased too; the journal is not.
	d.Log.Warn("factory reset: all is erased at the restart that is asked for now", "by", access.Of(ctx).Name, "keep", strings.Join(keep, ","))
	if err := reset.Ask(d.State, reset.Request{Keep: keep, By: gateway.CleanText(access.Of(ctx).Name, 100), At: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return nil, err
	}
	if _, err := update.Ask(ctx, d.Socket, update.DoRestart, nil, nil); err != nil {
		back := reset.Withdraw(d.State)
		d.Log.Warn("factory reset: taken back, since the appliance does not restart", "error", err)
		return nil, &control.Fault{Status: http.StatusConflict, Message: errors.Join(err, back).Error() + ": nothing was erased"}
	}
	return &api.ApplianceErasing{Keep: append([]string{}, keep...)}, nil
}

// Commands are those of gatepost appliance reset.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "appliance reset", Args: "--keep log,quarantine,settings | --all [--words 'erase everything'] [--config PATH] [--json]", Doc: "erase everything of the appliance but what is named, and restart it; the words are asked for where they are not given", Run: ask},
		{Words: "appliance do-reset", Doc: "erase what was asked for, before the daemon starts; systemd starts it", Run: func(_ context.Context, e cli.Env, _ []string) int {
			return do(e, &reset.Machine{State: State, Else: []string{"/var/lib/redis", "/var/lib/gatepost-update"}, OfSettings: []string{"/var/lib/appliance/network"}})
		}},
	}
}

func ask(ctx context.Context, e cli.Env, args []string) int { return asked(ctx, e, args, os.Stdin) }

func asked(ctx context.Context, e cli.Env, args []string, from io.Reader) int {
	f, in := cli.NewFlags(e, "appliance reset"), &api.ApplianceReset{}
	keep, all := f.String("keep", "", ""), f.Bool("all", false, "")
	f.StringVar(&in.Words, "words", "", "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	in.Keep = strings.FieldsFunc(*keep, func(r rune) bool { return r == ',' || r == ' ' })
	if *all == (len(in.Keep) > 0) {
		fmt.Fprintf(e.Err, "gatepost appliance reset: say what stays, --keep %s, or that nothing does, --all\n", strings.Join(reset.Choices(), ","))
		return cli.Usage
	}
	if in.Words == "" {
		rest := "nothing"
		if len(in.Keep) > 0 {
			rest = strings.Join(in.Keep, ", ")
		}
		fmt.Fprintf(e.Err, "This erases mail that waits, users, keys, policies, and all else of this gateway; what stays: %s. It restarts at once.\nType '%s' to do it: ", rest, reset.Words)
		line, err := bufio.NewReader(io.LimitReader(from, 200)).ReadString('\n')
		if in.Words = strings.TrimSpace(line); in.Words != reset.Words || err != nil && !errors.Is(err, io.EOF) {
			fmt.Fprintln(e.Err, "nothing was erased")
			return cli.Found
		}
	}
	out, err := cli.Call[api.ApplianceErasing](ctx, e, f, resetQuestion(), in)
	return cli.Reply(e, f, "appliance reset", out, err, func(*api.ApplianceErasing) {
		fmt.Fprintln(e.Out, "it restarts, and begins anew: its console shows the code for the first owner")
	})
}

// do is what happens at boot.
func do(e cli.Env, m *reset.Machine) int {
	r, err := m.Do()
	if err != nil {
		return cli.Complain(e, "appliance do-reset", err)
	}
	if r != nil {
		fmt.Fprintf(e.Err, "factory reset, asked for by %s at %s: done; kept: %s\n", cli.Shown(r.By, 100), cli.Stamp(r.At), cli.Shown(strings.Join(append(r.Keep, "the journal"), ", "), 100))
	}
	return cli.Done
}
