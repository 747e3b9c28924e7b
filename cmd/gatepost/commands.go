package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	auditing "gatepost/cmd/gatepost/audit"
	examination "gatepost/cmd/gatepost/doctor"
	"gatepost/cmd/gatepost/entries"
	"gatepost/cmd/gatepost/firewall"
	"gatepost/cmd/gatepost/forward"
	"gatepost/cmd/gatepost/gate"
	"gatepost/cmd/gatepost/links"
	"gatepost/cmd/gatepost/network"
	"gatepost/cmd/gatepost/nodes"
	"gatepost/cmd/gatepost/policy"
	"gatepost/cmd/gatepost/privacy"
	kept "gatepost/cmd/gatepost/quarantine"
	"gatepost/cmd/gatepost/queue"
	theirs "gatepost/cmd/gatepost/received"
	rcpts "gatepost/cmd/gatepost/recipients"
	histories "gatepost/cmd/gatepost/reputation"
	"gatepost/cmd/gatepost/resets"
	nexthop "gatepost/cmd/gatepost/route"
	"gatepost/cmd/gatepost/screen"
	trials "gatepost/cmd/gatepost/settings"
	"gatepost/cmd/gatepost/shadow"
	"gatepost/cmd/gatepost/strangers"
	"gatepost/cmd/gatepost/updates"
	"gatepost/cmd/gatepost/whatif"
	"gatepost/internal/cli"
)

// groups is the table that main and the help read.
func groups() []cli.Group {
	return []cli.Group{
		{Title: "The daemon", Commands: slices.Concat([]cli.Command{
			{Words: "serve", Args: "[--config PATH]", Doc: "run the gateway", Run: serve},
			{Words: "check", Args: "[--config PATH] [--live] [--json]", Doc: "say whether the configuration can be used, and what is wrong", Run: check},
			{Words: "doctor", Args: "[--all] [--only GROUP,...] [--domain D] [--listener HOST:PORT] [--dns SERVER] [--others HOST,...] [--config PATH] [--json]", Doc: "look at everything from outside in, with what exactly to do about what is not well", Run: examine, Note: doctorNote()},
		}, examination.Commands(), []cli.Command{
			{Words: "status", Args: "[--config PATH] [--alive] [--json]", Doc: "show the running daemon: listeners, scanners, next hops, policy; --alive: the exit code is 0 whenever it answers", Run: status},
			{Words: "reload", Args: "[--config PATH]", Doc: "have the running daemon read its configuration again, as SIGHUP does", Run: reload},
			{Words: "drain", Args: "[--after 30s] [--config PATH]", Doc: "have the balancer send clients elsewhere, and refuse new ones after a while", Run: drain},
			{Words: "resume", Args: "[--config PATH]", Doc: "take clients again after drain", Run: resume},
		})},
		{Title: "Its two documents, and versions of the policy", Commands: slices.Concat([]cli.Command{
			{Words: "config default", Doc: "print a commented gatepost.toml with every default", Run: configDefault},
			{Words: "policy default", Doc: "print a commented policy.toml with every default", Run: policyDefault},
		}, policy.Commands(), whatif.Commands(), shadow.Commands(), []cli.Command{
			{Words: "settings", Args: "[--all] [--config PATH] [--json]", Doc: "show what the documents in force say, key by key, with places and defaults; --all: also what has its default", Run: settings},
			{Words: "explain", Args: "NAME", Doc: "say what a key, a table or a check does, its default and its RFC", Run: explain},
		})},
		{Title: "Coming from another gateway", Commands: []cli.Command{
			{Words: "import postfix", Args: "--out DIR [--config-dir /etc/postfix] [--root DIR] [--use commercial|non-commercial] [--expires DAY] [--owner NAME] [--json]", Doc: "make gatepost.toml and policy.toml of a Postfix configuration, with a report of what became of each thing", Run: importPostfix},
			{Words: "import pmg", Args: "BACKUP.tgz --out DIR [--use commercial|non-commercial] [--expires DAY] [--owner NAME] [--json]", Doc: "make gatepost.toml and policy.toml of a backup of Proxmox Mail Gateway, with a report of what became of each thing", Run: importPMG},
			{Words: "lists import", Args: "--csv FILE --out FILE [--kind allow|block] [--expires DAY] [--owner NAME] [--reason TEXT] [--json]", Doc: "make entries for policy.toml of an allow or block list that another product exported", Run: listsImport},
			{Words: "handover", Args: "PRODUCT [--route R] [--gateway ADDRESS,...] [--verify [--rcpt A] [--outside HOST:PORT]] [--config PATH] [--json]", Doc: "print what to do on the internal mail server, or find out whether it was done", Run: handOver},
			{Words: "cutover plan", Args: "--domain D [--start DAY] [--dns SERVER] [--config PATH] [--json]", Doc: "print step by step, with days, how mail of a domain moves to this gateway", Run: cutoverPlan},
			{Words: "cutover verify", Args: "--domain D [--listener ADDRESS:PORT] [--dns SERVER] [--config PATH] [--json]", Doc: "look at MX, listeners, next hops and SPF of a domain that moves", Run: cutoverVerify},
		}},
		{Title: "What became of a mail, and why", Commands: []cli.Command{
			{Words: "trace", Args: "REFERENCE [--config PATH] [--json]", Doc: "tell the whole story of a message or a connection", Run: trace},
			{Words: "log search", Args: "[--from A] [--to A] [--since T] [--until T] [--message-id M] [--subject S] [--verdict V] [--client IP] [--limit N] [--json]", Doc: "find mail and refused connections without a reference", Run: logSearch},
			{Words: "auth", Args: "FILE.eml --ip ADDR --helo NAME --from ADDRESS [--to ADDRESS] [--dns SERVER] [--config PATH] [--json]", Doc: "tell what sender authentication says of a message, and why; - is the standard input", Run: auth},
			{Words: "mime", Args: "FILE.eml [--json]", Doc: "print what a message is made of, and where mail clients would read it differently; - is the standard input", Run: mimeTree},
		}},
		{Title: "Where mail goes, and who exists", Commands: slices.Concat(nexthop.Commands(), nexthop.RecordCommands(), []cli.Command{
			{Words: "route", Args: "ADDRESS... [--config PATH] [--json]", Doc: "tell where the mail of an address goes, by which route and by which lines of the configuration", Run: route},
		}, rcpts.Commands())},
		{Title: "Mail that waits for its route (the spool)", Commands: queue.Commands()},
		{Title: "Mail that is kept since it is doubtful (the quarantine)", Commands: kept.Commands()},
		{Title: "Addresses that users of the portal linked", Commands: links.Commands()},
		{Title: "Encryption: certificates, TLSA records, MTA-STS policies, reports about TLS", Commands: []cli.Command{
			{Words: "tls status", Args: "[--config PATH] [--json]", Doc: "show the certificates: who is shown which, until when, who vouches for them, and what waits", Run: tlsStatus},
			{Words: "tls renew", Args: "[NAME] [--force] [--config PATH] [--json]", Doc: "order a certificate of [[tls.acme]] anew, or all; --force: also less than an hour after the last order", Run: tlsRenew},
			{Words: "tls tlsa", Args: "[--config PATH] [--json]", Doc: "show the TLSA records of our mail hosts: what is published, what should be, and what to do next", Run: tlsTLSA},
			{Words: "mta-sts show", Args: "[DOMAIN] [--dns SERVER] [--config PATH] [--json]", Doc: "list the MTA-STS policies of our domains and of next hops; or look at what a domain publishes, as a sender does", Run: policiesShow},
			{Words: "mta-sts advise", Args: "DOMAIN [--dns SERVER] [--config PATH] [--json]", Doc: "say what is missing before a policy can go from testing to enforce, with what to paste, and how to go back", Run: policiesAdvise},
			{Words: "tlsrpt report", Args: "[--dry-run] [--domain D] [--day YYYY-MM-DD] [--config PATH] [--json]", Doc: "show reports about TLS to next hops: what waits, what was sent, and with --dry-run what would be", Run: tlsReport},
		}},
		{Title: "Strangers, lists, rates and reputations", Commands: slices.Concat(strangers.Commands(), []cli.Command{
			{Words: "rbl status", Args: "[--config PATH] [--json]", Doc: "show the DNS lists of the running daemon: whether they work, and how much they are asked", Run: rblStatus},
			{Words: "rbl test", Args: "ADDRESS|DOMAIN [--config PATH] [--json]", Doc: "ask all DNS lists of the policy, without the daemon, and show what each answers", Run: rblTest},
			{Words: "limits top", Args: "[N] [--config PATH] [--json]", Doc: "show who is close to which rate limit now", Run: limitsTop},
		}, histories.Commands())},
		{Title: "Entries of allow and block lists", Commands: entries.Commands()},
		{Title: "Seals and DMARC reports", Commands: append([]cli.Command{
			{Words: "dkim key make", Args: "[--domain D] [--selector S] [--type rsa-2048|ed25519] [--config PATH] [--json]", Doc: "make a key that seals mail, and print the TXT record that publishes it", Run: dkimKeyMake},
			{Words: "dkim key show", Args: "[--domain D] [--selector S] [--config PATH] [--json]", Doc: "print the TXT record of a key, and say whether DNS has it", Run: dkimKeyShow},
			{Words: "arc sealers", Args: "[--config PATH] [--json]", Doc: "list the ARC sealers that are not trusted, and what their word would have rescued", Run: arcSealers},
			{Words: "dmarc report", Args: "[--dry-run] [--domain D] [--day YYYY-MM-DD] [--format 9990|7489] [--config PATH] [--json]", Doc: "show DMARC reports: what waits, what was sent, and with --dry-run what would be", Run: dmarcReport},
		}, theirs.Commands()...)},
		{Title: "Who may log in to the console", Commands: userCommands()},
		{Title: "Who did what (the audit log)", Commands: auditing.Commands()},
		{Title: "Alarms, what is left out in an emergency, the report of the week", Commands: alarmCommands()},
		{Title: "Nodes that share their control data", Commands: nodes.Commands()},
		{Title: "What is kept of a person", Commands: privacy.Commands()},
		{Title: "The appliance", Commands: slices.Concat(updates.Commands(), resets.Commands(), gate.Commands(), firewall.Commands(), network.Commands(), trials.Commands(), screen.Commands(version), forward.Commands())},
		{Title: "Backups", Commands: backupShop().Commands()},
		{Title: "Else", Commands: []cli.Command{
			{Words: "unpack", Args: "FILE... [--config PATH] [--json]", Doc: "show what files hold, as the gateway sees it: in a process without rights", Run: unpackFiles},
			{Words: "version", Doc: "print the version", Run: printVersion},
		}},
	}
}

// commands are those of all groups.
func commands() []cli.Command { return commandsOf(groups()) }

func commandsOf(groups []cli.Group) (all []cli.Command) {
	for _, g := range groups {
		all = append(all, g.Commands...)
	}
	return all
}

// asksForHelp reports whether arguments ask what a command does, wherever among them that stands.
func asksForHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--help" || a == "-h" || a == "-help" })
}

// help shows every command of groups, or with a noun only those that begin with it. It reports whether there are any.
func help(e cli.Env, w io.Writer, from []cli.Group, noun string) bool {
	program := "gatepost "
	if e.Apart {
		program = ""
	}
	var b strings.Builder
	for _, g := range from {
		begun := false
		for _, c := range g.Commands {
			if noun != "" && c.Words != noun && !strings.HasPrefix(c.Words, noun+" ") {
				continue
			}
			if !begun && noun == "" {
				fmt.Fprintf(&b, "\n%s:\n", g.Title)
			}
			begun = true
			fmt.Fprintf(&b, "  %s%-22s %s\n", program, c.Words, c.Doc)
		}
	}
	if b.Len() == 0 {
		return false
	}
	if e.Apart {
		fmt.Fprint(w, b.String(), "\nCOMMAND --help shows its options. One line is one command, with quotes as in a shell, and nothing else of one. A FILE is -, what you send:\n"+
			"ssh ... policy check - < policy.toml. Exit codes: 0 done, 1 finding or failure, 2 usage, 4 not allowed.\n")
		return true
	}
	if noun == "" {
		fmt.Fprintln(w, "gatepost is an inbound mail gateway in front of your mail server.")
	}
	fmt.Fprint(w, b.String(), "\ngatepost COMMAND --help shows its options. gatepost --server URL --token-file FILE [--ca-file FILE] COMMAND asks the API of\n"+
		"another host: docs/api.md. PATH is the folder with gatepost.toml and policy.toml, or gatepost.toml\n"+
		"itself; by default /etc/gatepost. Exit codes: 0 done, 1 finding or failure, 2 usage, 3 daemon not reachable, 4 not allowed.\n")
	return true
}

// doctorNote tells what the words of its arguments are.
func doctorNote() string {
	return "GROUP: " + strings.Join(doctorGroups(), ", ") + ". HOST: another gateway of yours. docs/doctor.md tells what each line means"
}
