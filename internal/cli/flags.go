package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// DefaultConfig is where the documents are unless --config says otherwise.
const DefaultConfig = "/etc/gatepost"

// Flags is what most commands take.
type Flags struct {
	*flag.FlagSet
	Config string
	JSON   bool
}

// NewFlags makes the options of a command, by its words.
func NewFlags(e Env, name string) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet("gatepost "+name, flag.ContinueOnError)}
	f.SetOutput(io.Discard)
	if !e.Apart {
		f.StringVar(&f.Config, "config", DefaultConfig, "")
	}
	f.BoolVar(&f.JSON, "json", false, "")
	return f
}

// Read parses the arguments, which may stand before and behind the options, and returns those that are none, at most so many.
// A mistake is told, and ok is false.
func (f *Flags) Read(e Env, args []string, most int) (rest []string, ok bool) {
	for {
		if err := f.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				fmt.Fprintf(e.Err, "%s: %v; %s --help shows its options\n", f.Name(), err, f.Name())
			}
			return nil, false
		}
		args = f.Args()
		if len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	if len(rest) > most {
		fmt.Fprintf(e.Err, "%s: %q is too much; %s --help shows its options\n", f.Name(), rest[most], f.Name())
		return nil, false
	}
	return rest, true
}

// One reads the one argument of a command that needs it. Where there is none, it tells what to name, and ok is false.
func (f *Flags) One(e Env, args []string, missing string) (arg string, ok bool) {
	rest, ok := f.Read(e, args, 1)
	if !ok {
		return "", false
	}
	if len(rest) == 0 {
		fmt.Fprintf(e.Err, "%s: %s\n", f.Name(), missing)
		return "", false
	}
	return rest[0], true
}

// Given are the options that were named.
func (f *Flags) Given() map[string]bool {
	out := map[string]bool{}
	f.Visit(func(o *flag.Flag) { out[o.Name] = true })
	return out
}
