package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/internal/memory"
)

// arcSealers lists whom the operator may want to look at: nothing but a sealer's own word says that it is right.
func arcSealers(ctx context.Context, e env, args []string) int {
	f := newFlags(e, "arc sealers")
	if _, ok := f.read(e, args, 0); !ok {
		return exitUsage
	}
	var list []memory.Sealer
	if err := ask(ctx, e, f.config, http.MethodGet, "/arc/sealers", &list); err != nil {
		return complain(e, "arc sealers", err)
	}
	if f.json {
		if err := json.NewEncoder(e.out).Encode(list); err != nil {
			return exitFound
		}
		return exitDone
	}
	for _, s := range list {
		fmt.Fprintf(e.out, "%-30s %5d messages on %3d days, last %s, as from %s\n", s.Domain, s.Messages, s.Days,
			s.Last.Format(time.DateOnly), strings.Join(s.Authors, ", "))
	}
	if len(list) == 0 {
		fmt.Fprintln(e.out, "no sealer that is not trusted would have rescued anything")
	}
	return exitDone
}
