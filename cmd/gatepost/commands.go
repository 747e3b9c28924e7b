package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"gatepost/gateway/spool"
)

// command is one subcommand: its words, its arguments and options, one line of what it does, and how it runs.
type command struct {
	words string
	args  string
	doc   string
	run   func(ctx context.Context, e env, args []string) int
}

// group is what belongs together in the help.
type group struct {
	title    string
	commands []command
}

// Arguments that several commands share.
const (
	queuePicks  = "ID... | [--route R] [--from A] [--to A] [--said TEXT] [--state S] [--older T] [--id ID] [--all] [--dry-run] [--config PATH] [--json]"
	keptPicks   = "ID... | [--from A] [--to A] [--rcpt A] [--subject TEXT] [--reason R] [--class C] [--state S] [--reported spam|ham] [--since T] [--until T] [--older T] [--damaged] [--all] [--dry-run]"
	keptStates  = "S: visible, releasing, released, deleted. C: spam, other, unscanned, dmarc, impersonation, attachment, malware. T: 2h, 3d, 14:30, 2026-11-23. R: the beginning of a reason. A, TEXT: a part of it; --rcpt A: exactly, and of each message only his copy is released or deleted; --from '<>': bounces. --only: these recipients"
	queueStates = "S: waiting, delivering, held, dead. T: 2h, 3d, 14:30, 2026-11-23. R: the name of a [[route]]. A, TEXT: a part of it; --from '<>': bounces"
)

// groups is the table that main and the help read.
func groups() []group {
	return []group{
		{"The daemon", []command{
			{"serve", "[--config PATH]", "run the gateway", serve},
			{"check", "[--config PATH] [--live] [--json]", "say whether the configuration can be used, and what is wrong", check},
			{"doctor", "[--all] [--only GROUP,...] [--domain D] [--listener HOST:PORT] [--dns SERVER] [--others HOST,...] [--config PATH] [--json]", "look at everything from outside in, with what exactly to do about what is not well", examine},
			{"status", "[--config PATH] [--json]", "show the running daemon: listeners, scanners, next hops, policy", status},
			{"reload", "[--config PATH]", "have the running daemon read its configuration again, as SIGHUP does", reload},
			{"drain", "[--after 30s] [--config PATH]", "have the balancer send clients elsewhere, and refuse new ones after a while", drain},
			{"resume", "[--config PATH]", "take clients again after drain", resume},
		}},
		{"Its two documents", []command{
			{"config default", "", "print a commented gatepost.toml with every default", configDefault},
			{"policy default", "", "print a commented policy.toml with every default", policyDefault},
			{"explain", "NAME", "say what a key, a table or a check does, its default and its RFC", explain},
		}},
		{"Coming from another gateway", []command{
			{"import postfix", "--out DIR [--config-dir /etc/postfix] [--root DIR] [--use commercial|non-commercial] [--expires DAY] [--owner NAME] [--json]", "make gatepost.toml and policy.toml of a Postfix configuration, with a report of what became of each thing", importPostfix},
			{"import pmg", "BACKUP.tgz --out DIR [--use commercial|non-commercial] [--expires DAY] [--owner NAME] [--json]", "make gatepost.toml and policy.toml of a backup of Proxmox Mail Gateway, with a report of what became of each thing", importPMG},
			{"lists import", "--csv FILE --out FILE [--kind allow|block] [--expires DAY] [--owner NAME] [--reason TEXT] [--json]", "make entries for policy.toml of an allow or block list that another product exported", listsImport},
			{"handover", "PRODUCT [--route R] [--gateway ADDRESS,...] [--verify [--rcpt A] [--outside HOST:PORT]] [--config PATH] [--json]", "print what to do on the internal mail server, or find out whether it was done", handOver},
			{"cutover plan", "--domain D [--start DAY] [--dns SERVER] [--config PATH] [--json]", "print step by step, with days, how mail of a domain moves to this gateway", cutoverPlan},
			{"cutover verify", "--domain D [--listener ADDRESS:PORT] [--dns SERVER] [--config PATH] [--json]", "look at MX, listeners, next hops and SPF of a domain that moves", cutoverVerify},
		}},
		{"What became of a mail, and why", []command{
			{"trace", "REFERENCE [--config PATH] [--json]", "tell the whole story of a message or a connection", trace},
			{"log search", "[--from A] [--to A] [--since T] [--until T] [--message-id M] [--subject S] [--verdict V] [--client IP] [--limit N] [--json]", "find mail and refused connections without a reference", logSearch},
			{"auth", "FILE.eml --ip ADDR --helo NAME --from ADDRESS [--to ADDRESS] [--dns SERVER] [--config PATH] [--json]", "tell what sender authentication says of a message, and why; - is the standard input", auth},
			{"mime", "FILE.eml [--json]", "print what a message is made of, and where mail clients would read it differently; - is the standard input", mimeTree},
		}},
		{"Where mail goes, and who exists", []command{
			{"route", "ADDRESS... [--config PATH] [--json]", "tell where the mail of an address goes, by which route and by which lines of the configuration", route},
			{"recipients show", "ADDRESS | --all [--limit N] [--config PATH] [--json]", "show who knows a recipient, and what next hops said of it", recipientsShow},
			{"recipients forget", "ADDRESS | --route NAME [--config PATH] [--json]", "have the next hop asked again for a recipient, or for all of a route", recipientsForget},
			{"recipients import", "--csv FILE [--column NAME|N] [--separator comma|semicolon|tab] [--config PATH] [--json]", "have recipients known for 24 hours, as if their next hop had said so", recipientsImport},
			{"recipients sync", "[DIRECTORY] [--force] [--config PATH] [--json]", "read directories of recipients now; --force takes one that lost more than half", recipientsSync},
			{"recipients directories", "[--config PATH] [--json]", "show the directories of recipients with their age, and what the word of each next hop is worth", recipientsDirectories},
		}},
		{"Mail that waits for its route (the spool)", []command{
			{"queue list", "[--route R] [--from A] [--to A] [--said TEXT] [--state S] [--older T] [--id ID] [--limit N] [--damaged] [--config PATH] [--json]", "list mail in the spool, the oldest first, and how its routes are", queueListing},
			{"queue show", "ID [--raw] [--config PATH] [--json]", "tell all that is known of a message in the spool; --raw: the message itself", queueShow},
			{"queue retry", queuePicks, "try messages now; dead letters begin anew", queueChange(spool.Retry)},
			{"queue hold", queuePicks, "do not try messages until they are released", queueChange(spool.Hold)},
			{"queue release", queuePicks, "try held messages again", queueChange(spool.Release)},
			{"queue bounce", queuePicks, "give messages up: their senders are told where they may be, else they become dead letters", queueChange(spool.Bounce)},
			{"queue delete", queuePicks, "remove messages from the spool, and tell nobody but the journal", queueChange(spool.Delete)},
			{"queue reroute", queuePicks + " --to-route R", "send messages by another route", queueChange(spool.Reroute)},
			{"queue clear-latch", "[--config PATH]", "take mail into the spool again after its disk failed and was mended", queueClear},
		}},
		{"Mail that is kept since it is doubtful (the quarantine)", []command{
			{"quarantine list", "[--from A] [--to A] [--rcpt A] [--subject TEXT] [--reason R] [--class C] [--state S] [--reported spam|ham] [--since T] [--until T] [--damaged] [--before ID] [--limit N] [--config PATH] [--json]", "list mail in quarantine, the newest first", keptListing},
			{"quarantine show", "ID [--config PATH] [--json]", "tell all that is known of a message in quarantine, and nothing of what is in it", keptShow},
			{"quarantine view", "ID [--raw] [--config PATH] [--json]", "show a message in quarantine as text, which the journal notes; --raw: the message itself", keptView},
			{"quarantine release", keptPicks + " [--only A,...] [--other A] [--force] [--allow|--allow-client] [--why TEXT] [--expires DAY] [--config PATH] [--json]", "deliver messages, after another look for malware; --other: to another address; --allow prints the lines that let their author pass wherever DMARC proves him, --allow-client those for their host", keptChange("release")},
			{"quarantine delete", keptPicks + " [--only A,...] [--config PATH] [--json]", "erase messages, and tell nobody but the journal", keptChange("delete")},
			{"quarantine report", keptPicks + " --as spam|ham [--config PATH] [--json]", "note that messages are spam, or are none", keptChange("report")},
			{"quarantine forward", keptPicks + " --analyst A [--config PATH] [--json]", "send messages to somebody who looks at them, as attachments", keptChange("forward")},
			{"quarantine digest", "[--dry-run] [--recipient A] [--send] [--config PATH] [--json]", "show which recipients would be told now of mail in quarantine, and of one what; --send: tell them", keptDigest},
			{"quarantine expire", "[--config PATH]", "erase now what was kept for long enough", keptExpire},
			{"quarantine clear-latch", "[--config PATH]", "quarantine mail again after the disk failed and was mended", keptClear},
			{"quarantine key list", "[--config PATH] [--json]", "show the keys of the quarantine, and how many messages need each", keptKeys("list")},
			{"quarantine key rotate", "[--config PATH] [--json]", "make a key for what comes from now on", keptKeys("rotate")},
			{"quarantine key forget", "KEY [--config PATH] [--json]", "remove a key that no message needs any more", keptKeys("forget")},
		}},
		{"Encryption: certificates, TLSA records, MTA-STS policies, reports about TLS", []command{
			{"tls status", "[--config PATH] [--json]", "show the certificates: who is shown which, until when, who vouches for them, and what waits", tlsStatus},
			{"tls renew", "[NAME] [--force] [--config PATH] [--json]", "order a certificate of [[tls.acme]] anew, or all; --force: also less than an hour after the last order", tlsRenew},
			{"tls tlsa", "[--config PATH] [--json]", "show the TLSA records of our mail hosts: what is published, what should be, and what to do next", tlsTLSA},
			{"mta-sts show", "[DOMAIN] [--dns SERVER] [--config PATH] [--json]", "list the MTA-STS policies of our domains and of next hops; or look at what a domain publishes, as a sender does", policiesShow},
			{"mta-sts advise", "DOMAIN [--dns SERVER] [--config PATH] [--json]", "say what is missing before a policy can go from testing to enforce, with what to paste, and how to go back", policiesAdvise},
			{"tlsrpt report", "[--dry-run] [--domain D] [--day YYYY-MM-DD] [--config PATH] [--json]", "show reports about TLS to next hops: what waits, what was sent, and with --dry-run what would be", tlsReport},
		}},
		{"Strangers, lists, rates and reputations", []command{
			{"greylist list", "[--limit N] [--config PATH] [--json]", "list the strangers that greylisting holds, with the time at which each passes", greylistShow},
			{"greylist release", "KEY | [--from A] [--to A] [--config PATH] [--json]", "let strangers that wait pass from their next try on", greylistLet},
			{"greylist forget", "KEY | [--from A] [--to A] | --identity I [--config PATH] [--json]", "make strangers again of a pair, or of all of an organization or network", greylistDrop},
			{"rbl status", "[--config PATH] [--json]", "show the DNS lists of the running daemon: whether they work, and how much they are asked", rblStatus},
			{"rbl test", "ADDRESS|DOMAIN [--config PATH] [--json]", "ask all DNS lists of the policy, without the daemon, and show what each answers", rblTest},
			{"limits top", "[N] [--config PATH] [--json]", "show who is close to which rate limit now", limitsTop},
			{"reputation show", "ADDRESS|NETWORK|DOMAIN [--config PATH] [--json]", "show what came of earlier mail of a client, network, organization or domain", reputationShow},
			{"reputation top", "[N] [--config PATH] [--json]", "list who brought the most spam, malware and guesses lately", reputationTop},
			{"reputation reset", "ADDRESS|NETWORK|DOMAIN [--config PATH] [--json]", "forget what came of their mail", reputationReset},
		}},
		{"Seals and DMARC reports", []command{
			{"dkim key make", "[--domain D] [--selector S] [--type rsa-2048|ed25519] [--config PATH] [--json]", "make a key that seals mail, and print the TXT record that publishes it", dkimKeyMake},
			{"dkim key show", "[--domain D] [--selector S] [--config PATH] [--json]", "print the TXT record of a key, and say whether DNS has it", dkimKeyShow},
			{"arc sealers", "[--config PATH] [--json]", "list the ARC sealers that are not trusted, and what their word would have rescued", arcSealers},
			{"reports list", "[--kind dmarc|tls] [--domain D] [--since T] [--limit N] [--config PATH] [--json]", "list the reports that others sent about your domains, the newest first", receivedList},
			{"reports show", "NUMBER [--config PATH] [--json]", "show one of them", receivedShow},
			{"dmarc report", "[--dry-run] [--domain D] [--day YYYY-MM-DD] [--format 9990|7489] [--config PATH] [--json]", "show DMARC reports: what waits, what was sent, and with --dry-run what would be", dmarcReport},
		}},
		{"Else", []command{
			{"unpack", "FILE... [--config PATH] [--json]", "show what files hold, as the gateway sees it: in a process without rights", unpackFiles},
			{"version", "", "print the version", printVersion},
		}},
	}
}

// commands are those of all groups.
func commands() (all []command) {
	for _, g := range groups() {
		all = append(all, g.commands...)
	}
	return all
}

// asksForHelp reports whether arguments ask what a command does, wherever among them that stands.
func asksForHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--help" || a == "-h" || a == "-help" })
}

// help shows every command, or with a noun only those that begin with it. It reports whether there are any.
func help(w io.Writer, noun string) bool {
	var b strings.Builder
	for _, g := range groups() {
		begun := false
		for _, c := range g.commands {
			if noun != "" && c.words != noun && !strings.HasPrefix(c.words, noun+" ") {
				continue
			}
			if !begun && noun == "" {
				fmt.Fprintf(&b, "\n%s:\n", g.title)
			}
			begun = true
			fmt.Fprintf(&b, "  gatepost %-22s %s\n", c.words, c.doc)
		}
	}
	if b.Len() == 0 {
		return false
	}
	if noun == "" {
		fmt.Fprintln(w, "gatepost is an inbound mail gateway in front of your mail server.")
	}
	fmt.Fprint(w, b.String(), "\ngatepost COMMAND --help shows its options. PATH is the folder with gatepost.toml and policy.toml, or gatepost.toml\n"+
		"itself; by default /etc/gatepost. Exit codes: 0 done, 1 finding or failure, 2 usage, 3 daemon not reachable, 4 not allowed.\n")
	return true
}

// usage shows the options of one command.
func (c *command) usage(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n%s.\n", strings.TrimSpace("gatepost "+c.words+" "+c.args), c.doc)
	switch {
	case strings.HasPrefix(c.words, "quarantine") && strings.Contains(c.args, "--state"):
		fmt.Fprintln(w, keptStates+".")
	case strings.Contains(c.args, "--state"):
		fmt.Fprintln(w, queueStates+".")
	}
	if strings.Contains(c.args, "GROUP") {
		fmt.Fprintln(w, "GROUP: "+strings.Join(doctorGroups(), ", ")+". HOST: another gateway of yours. docs/doctor.md tells what each line means.")
	}
}
