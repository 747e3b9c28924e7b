package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// services are those whose figures are told, by their units.
func services() []string {
	return []string{"gatepost", "clamav-daemon", "spamd", "redis-server", "unbound", "chrony"}
}

// figures waits for what imageboot-figures.service says on the serial line of the running services: how closed each is
// (systemd-analyze security: 0 is closed, 10 open), and how much memory it has. None may be opener than the bounds.
func (v *vm) figures(ctx context.Context) error {
	most := map[string]float64{"gatepost": 1.5, "clamav-daemon": 2.5, "spamd": 2.5, "redis-server": 2.5, "unbound": 2.5}
	for _, s := range services() {
		unit := regexp.QuoteMeta(s) + `\.service`
		said, err := v.find(ctx, `(?m)^`+unit+` +([0-9]+\.[0-9]) `)
		if err != nil {
			return err
		}
		exposure, err := strconv.ParseFloat(said, 64)
		if err != nil {
			return err
		}
		said, err = v.find(ctx, `Id=`+unit+`\s+MemoryCurrent=([0-9]+)|MemoryCurrent=([0-9]+)\s+Id=`+unit+`\s`)
		if err != nil {
			return err
		}
		memory, err := strconv.ParseInt(said, 10, 64)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s: exposure %.1f, %d MiB\n", v.name, s, exposure, memory>>20)
		if bound, known := most[s]; known && exposure > bound {
			return fmt.Errorf("%s is opener than %.1f: %.1f", s, bound, exposure)
		}
	}
	return nil
}

// find waits until the machine says what an expression matches, and returns its group.
func (v *vm) find(ctx context.Context, expression string) (got string, err error) {
	re := regexp.MustCompile(expression)
	err = v.await(ctx, expression, func() error {
		all, _ := v.said()
		m := re.FindStringSubmatch(all)
		if m == nil {
			return fmt.Errorf("it was not said")
		}
		for _, got = range m[1:] {
			if got != "" {
				return nil
			}
		}
		return fmt.Errorf("it has no number")
	})
	return got, err
}
