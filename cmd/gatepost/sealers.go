package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/memory"
)

// arcSealers lists whom the operator may want to look at: nothing but a sealer's own word says that it is right.
func arcSealers(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "arc sealers")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	list, err := cli.List[memory.Sealer](ctx, e, f, sealersQuestion(), &struct{}{})
	if err != nil {
		return cli.Complain(e, "arc sealers", err)
	}
	if f.JSON {
		return cli.JSON(e, list)
	}
	for _, s := range list {
		fmt.Fprintf(e.Out, "%-30s %5d messages on %3d days, last %s, as from %s\n", s.Domain, s.Messages, s.Days,
			s.Last.Format(time.DateOnly), strings.Join(s.Authors, ", "))
	}
	if len(list) == 0 {
		fmt.Fprintln(e.Out, "no sealer that is not trusted would have rescued anything")
	}
	return cli.Done
}
