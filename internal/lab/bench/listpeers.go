package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
)

// listTargets starts the servers that listed clients meet. stop ends those that run, with or without an error.
func (b *bench) listTargets(ctx context.Context, p listsPlan, rated bool) (targets []target, stop func() error, err error) {
	var running []func() error
	stop = func() (err error) {
		for _, end := range running {
			err = errors.Join(err, end())
		}
		return err
	}
	for _, program := range b.programs {
		g, err := b.launch(ctx, daemon{binary: program, tables: listTables(rated)})
		if err != nil && strings.Contains(err.Error(), "rbl: unknown table") {
			continue // an older program
		}
		if err != nil {
			return nil, stop, err
		}
		running = append(running, g.Stop)
		targets = append(targets, targetOf(program.name, g))
	}
	if p.Postfix {
		starts := []func(context.Context, bool) (target, func() error, error){b.startListScreen, b.startListSmtpd}
		if rated {
			starts = starts[1:]
		}
		for _, start := range starts {
			t, end, err := start(ctx, rated)
			if err != nil {
				return nil, stop, err
			}
			running = append(running, end)
			targets = append(targets, t)
		}
	}
	for _, t := range targets {
		if err := awaitLists(ctx, t); err != nil {
			return nil, stop, err
		}
	}
	return targets, stop, nil
}

// awaitLists waits until a server refuses a client that is on a list.
func awaitLists(ctx context.Context, t target) error {
	one := load.Listed{Addr: t.addr, From: onAll(), Connections: 1, Timeout: time.Minute}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		met, err := one.Run(ctx)
		if err == nil && met.Refused == 1 {
			return nil
		}
		if time.Now().After(end) || err != nil {
			return fmt.Errorf("%s does not refuse a listed client: %+v, %w", t.name, met, err)
		}
	}
}

// listTables is policy.toml of a daemon that asks the lists. Its other limits are so wide that the lists alone refuse; a
// client that nobody knows waits for no banner, as at smtpd. rated: each may connect once a minute.
func listTables(rated bool) string {
	text := "[limits]\nconnections = 5000\nconnections_per_client = 5000\nconnections_per_network = 5000\nconnections_per_wide_network = 5000\n" +
		"[trusted]\nnetworks = []\n[checks.pregreet]\nwait = \"0s\"\nstress_wait = \"0s\"\n"
	for _, of := range []string{"client", "network", "wide-network"} {
		if rated && of == "client" {
			text += "[[rate]]\nof = \"client\"\nunit = \"connections\"\nunknown = \"1/1m\"\nknown = \"1/1m\"\nbad = \"1/1m\"\n"
			continue
		}
		text += fmt.Sprintf("[[rate]]\nof = %q\nunit = \"connections\"\nunknown = \"900000/1m\"\nknown = \"900000/1m\"\nbad = \"900000/1m\"\n", of)
	}
	// Who is refused again and again meets this one before the lists are asked.
	text += "[[rate]]\nof = \"client-error\"\nunit = \"errors\"\nunknown = \"900000/1h\"\nknown = \"900000/1h\"\nbad = \"900000/1h\"\n"
	text += "[rbl]\nuse = \"non-commercial\"\n"
	for i := range listCount {
		text += fmt.Sprintf("[[rbl.own]]\nname = \"bl%d\"\nzone = %q\n[[rbl.own.rule]]\nanswer = \"127.0.0.2\"\nlabel = \"listed\"\nweight = 10\n", i+1, zoneOfList(i))
	}
	return text
}

// listsOf are the zones with something before and after each.
func listsOf(before, after string) string {
	var b strings.Builder
	for i := range listCount {
		b.WriteString(before + zoneOfList(i) + after)
	}
	return b.String()
}

// startListSmtpd starts a Postfix whose smtpd asks the lists, one after another until one knows the client.
func (b *bench) startListSmtpd(ctx context.Context, rated bool) (t target, stop func() error, err error) {
	limit := 0
	if rated {
		limit = 1
	}
	return b.startListPostfix(ctx, smtpdPeer, func(addr string) []string {
		return []string{
			fmt.Sprintf("%s inet n - n - %d smtpd", addr, peerProcesses),
			"  -o smtpd_recipient_restrictions=" + strings.TrimSuffix(listsOf("reject_rbl_client,", ","), ","),
			fmt.Sprintf("  -o smtpd_client_connection_rate_limit=%d", limit),
		}
	})
}

// startListScreen starts a Postfix whose postscreen asks the lists, all at the same time, while the client waits as long as
// the package has it wait under load. It keeps no cache of its own, so that each session is one with lists.
func (b *bench) startListScreen(ctx context.Context, _ bool) (t target, stop func() error, err error) {
	return b.startListPostfix(ctx, postscreen, func(addr string) []string {
		return []string{
			addr + " inet n - n - 1 postscreen",
			"  -o postscreen_dnsbl_sites=" + strings.TrimSuffix(listsOf("", ","), ","),
			"  -o postscreen_dnsbl_action=enforce",
			"  -o postscreen_cache_map=",
			"  -o postscreen_greet_wait=2s",
			"  -o postscreen_access_list=",
			"  -o postscreen_client_connection_count_limit=100000",
			"  -o postscreen_pre_queue_limit=100000",
			"  -o postscreen_post_queue_limit=100000",
			fmt.Sprintf("smtpd pass - - n - %d smtpd", peerProcesses),
			"dnsblog unix - - n - 0 dnsblog",
			"tlsproxy unix - - n - 0 tlsproxy",
		}
	})
}

// startListPostfix starts a Postfix with a service that listens where its clients shall connect.
func (b *bench) startListPostfix(ctx context.Context, name string, services func(addr string) []string) (t target, stop func() error, err error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // its processes run as several users
	}
	if err != nil {
		return t, nil, err
	}
	port, err := lab.ReservePort()
	if err != nil {
		return t, nil, err
	}
	o := proxyOptions(b.sink.Addr())
	o.Smtpd, o.Services = nil, services(port.Addr())
	// It is also how many connections may wait to be accepted.
	o.Settings = append(o.Settings, "default_process_limit = "+strconv.Itoa(2*listedCount))
	p, err := lab.StartPostfix(ctx, dir, o)
	if err != nil {
		port.Release()
		return t, nil, err
	}
	stop = func() error {
		defer port.Release()
		return p.Stop()
	}
	return target{name: name, addr: port.Addr(), part: part{pid: p.PID(), group: true}}, stop, nil
}
