package quarantine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/cli"
	"gatepost/internal/importer"
	"gatepost/internal/smtpwire"
)

// allowing says which entry lets the sender of a released message pass from now on, and what stands in it.
type allowing struct {
	author, client bool
	why, expires   string
	until          time.Time
}

// allowFor is how long an entry counts that nobody thought about for longer.
const allowFor = 90 * 24 * time.Hour

// flags adds the options of quarantine release.
func (a *allowing) flags(f *cli.Flags) {
	f.BoolVar(&a.author, "allow", false, "")
	f.BoolVar(&a.client, "allow-client", false, "")
	f.StringVar(&a.why, "why", "", "")
	f.StringVar(&a.expires, "expires", "", "")
}

// read checks the options before anything is done.
func (a *allowing) read(now time.Time) (err error) {
	if a.author && a.client {
		return errors.New("--allow is for the author where DMARC proves him, --allow-client for the host that sent: choose one of them")
	}
	if !a.author && !a.client && a.why+a.expires != "" {
		return errors.New("--why and --expires are about the entry of --allow or --allow-client")
	}
	a.until = now.Add(allowFor)
	if a.expires == "" {
		return nil
	}
	if a.until, err = time.Parse(time.DateOnly, a.expires); err != nil || a.until.Before(now.AddDate(0, 0, -1)) {
		return fmt.Errorf("--expires %q is no day to come; write for example %s", a.expires, now.Add(allowFor).UTC().Format(time.DateOnly))
	}
	return nil
}

// wanted reports whether there is to be an entry at all.
func (a *allowing) wanted() bool { return a.author || a.client }

// allowedKept is the entry of one message, as --json shows it.
type allowedKept struct {
	ID    gateway.ID `json:"id"`
	Allow string     `json:"allow,omitempty"` // lines of policy.toml
	Error string     `json:"error,omitempty"` // why there can be none
}

// print prints the lines that let the sender of a message pass from now on. policy.toml is the operator's: nobody else
// writes into it.
func (a *allowing) print(ctx context.Context, e cli.Env, f *cli.Flags, id gateway.ID) {
	l, err := lookAt(ctx, e, f, id)
	if err != nil {
		cli.Complain(e, "quarantine release --allow", err)
		return
	}
	out := allowedKept{ID: id}
	if a.client {
		out.Allow, out.Error = a.clientEntry(l)
	} else {
		out.Allow, out.Error = a.authorEntry(l)
	}
	if f.JSON {
		cli.JSONLines(e, []allowedKept{out})
		return
	}
	if out.Error != "" {
		fmt.Fprintf(e.Err, "%s: no allow entry: %s\n", id, out.Error)
		return
	}
	fmt.Fprint(e.Out, out.Allow)
	fmt.Fprintln(e.Err, "write these lines into policy.toml, then gatepost reload")
}

// note is who wanted an entry, why and until when.
func (a *allowing) note(l *quarantine.Looked) string {
	why := "released " + l.Row.ID.String()
	if a.why != "" {
		why = gateway.CleanText(a.why, 200-len(why)-3) + " (" + why + ")"
	}
	return fmt.Sprintf("owner = %q\nreason = %q\nexpires = %q\n", cli.By(), why, a.until.UTC().Format(time.DateOnly))
}

// useless says why no entry would let a message pass; "" where one would.
func useless(l *quarantine.Looked) string {
	if l.Row.Class > quarantine.Other {
		return "it would not help: no allow entry overrules what was found in this message (" + string(l.Why.Reason) + ")"
	}
	return ""
}

// authorEntry makes an entry for the author of a message, whom DMARC proved then and must prove each time; or says why there
// can be none.
func (a *allowing) authorEntry(l *quarantine.Looked) (text, refused string) {
	if why := useless(l); why != "" {
		return "", why
	}
	proven := ""
	if l.Record != nil {
		for i := range l.Record.Findings {
			if f := &l.Record.Findings[i]; f.Check == gateway.DMARCCheck {
				proven = f.Proves
			}
		}
	}
	if proven == "" {
		return "", "DMARC does not prove that " + orSomebody(l.Row.Author) + " sent it, and anybody can write that name. If you know its host, and only if: --allow-client"
	}
	if shared := importer.SharedName(proven); shared != "" {
		return "", shared + ", from which everybody can send"
	}
	if _, err := smtpwire.ParseAddress(proven, true); err != nil {
		return "", "its author's address " + gateway.CleanText(proven, 100) + " cannot stand in an entry"
	}
	return fmt.Sprintf("[[checks.access.author.entry]]\naddress = %q  # counts only where DMARC proves it\n", proven) + a.note(l), ""
}

func orSomebody(author string) string {
	if author == "" {
		return "its author"
	}
	return gateway.CleanText(author, 200)
}

// clientEntry makes an entry for the client of a message, for senders that cannot authenticate; or says why there can be none.
func (a *allowing) clientEntry(l *quarantine.Looked) (text, refused string) {
	addr := l.Client.Address.Addr().Unmap()
	_, author, _ := strings.Cut(strings.TrimRight(l.Row.Author, "> "), "@")
	switch shared := firstOf(importer.SharedName(author), importer.SharedName(l.Row.From), sharedHost(l.Client.Name)); {
	case useless(l) != "":
		return "", useless(l)
	case !addr.IsValid() || addr.IsLoopback():
		return "", "it came from this host"
	case l.Record != nil && l.Record.Relay:
		return "", "its client is a trusted relay, which brings the mail of everybody"
	case shared != "":
		return "", shared + ", from which everybody can send"
	case l.Client.Name == "":
		return "", "its client " + addr.String() + " has no verified reverse name: nobody knows whose it is"
	}
	return fmt.Sprintf("[[checks.access.client.entry]]\nnetwork = %q  # %s\nlist = \"allow\"\n", netip.PrefixFrom(addr, addr.BitLen()).String(),
		gateway.CleanText(l.Client.Name, 255)) + a.note(l), ""
}

// sharedHost says of whom a host is that sends for everybody; "" for none that is known.
func sharedHost(name string) string {
	for rest := strings.ToLower(strings.TrimSuffix(name, ".")); rest != ""; {
		if shared := importer.SharedName(rest); shared != "" {
			return shared
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return ""
}

func firstOf(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
