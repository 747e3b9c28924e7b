package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
)

// defaultConfig is where the documents are unless --config says otherwise.
const defaultConfig = "/etc/gatepost"

// flags is what most commands take.
type flags struct {
	*flag.FlagSet
	config string
	json   bool
}

func newFlags(e env, name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet("gatepost "+name, flag.ContinueOnError)}
	f.SetOutput(io.Discard)
	f.StringVar(&f.config, "config", defaultConfig, "")
	f.BoolVar(&f.json, "json", false, "")
	return f
}

// read parses the arguments, which may stand before and behind the options, and returns those that are none. A mistake is
// told, and ok is false.
func (f *flags) read(e env, args []string, most int) (rest []string, ok bool) {
	for {
		if err := f.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				fmt.Fprintf(e.errOut, "%s: %v; %s --help shows its options\n", f.Name(), err, f.Name())
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
		fmt.Fprintf(e.errOut, "%s: %q is too much; %s --help shows its options\n", f.Name(), rest[most], f.Name())
		return nil, false
	}
	return rest, true
}

// plural chooses the words for a number of things.
func plural[N int | int64](n N, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// jsonLines writes what a command lists with --json: one object a line. It returns the exit code.
func jsonLines[T any](e env, list []T) int {
	enc := json.NewEncoder(e.out)
	for i := range list {
		if enc.Encode(&list[i]) != nil {
			return exitFound
		}
	}
	return exitDone
}
