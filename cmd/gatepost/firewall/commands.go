package firewall

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/cli"
)

// loadTime bounds how long nft may take.
const loadTime = 30 * time.Second

// Commands are those of gatepost appliance firewall.
func Commands() []cli.Command {
	return []cli.Command{
		{Words: "appliance firewall", Args: "[--load] [--config PATH]", Doc: "print the rules of nftables that let through what the documents name, and nothing else; --load: put them in force", Run: run}}
}

// run prints or loads the rules. Where the documents are refused, that is told, and the rules are those that keep the console reachable: no
// rules at all would let everybody in.
func run(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "appliance firewall")
	load := f.Bool("load", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	code, plan := cli.Done, Bare()
	if c := e.Load(f.Config); c != nil {
		plan = Of(c, resolvers("/etc/resolv.conf"))
	} else {
		fmt.Fprintln(e.Err, "gatepost appliance firewall: the documents cannot be used: only the console is open, for private networks")
		code = cli.Found
	}
	text := plan.Render(number)
	if !*load {
		fmt.Fprint(e.Out, text)
		return code
	}
	ctx, done := context.WithTimeout(ctx, loadTime)
	defer done()
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	nft.Stdin, nft.Stdout, nft.Stderr = strings.NewReader(text), e.Err, e.Err
	if err := nft.Run(); err != nil {
		fmt.Fprintf(e.Err, "gatepost appliance firewall: nft: %v; the rules before stay in force\n", err)
		return cli.Found
	}
	return code
}

// number is that of a user of this host.
func number(name string) (int, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(u.Uid)
	return n, err == nil
}

// resolvers are the name servers of a resolv.conf(5).
func resolvers(file string) (out []netip.Addr) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			if a, err := netip.ParseAddr(words[1]); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}
