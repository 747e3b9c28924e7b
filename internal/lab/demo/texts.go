package main

import (
	"fmt"
	"io"
	"strings"
)

// texts are what the explanation of a running world says.
type texts struct {
	domain, mailbox string
	others          []string // further mailboxes
	smtp, postfix   string   // addresses
	metrics         string   // empty: none
	console         string   // empty: none
	maildir         string
	program         string // of gatepost
	dir             string // with its documents and its log
	state           string // of all parts
	kept            bool   // the state stays at the end
	pid             int
	redis           string // its socket; empty: there is none
	password        string // the file
	names           bool   // names are the demo's own
}

func (t texts) print(out io.Writer) {
	fmt.Fprintf(out, `
Gatepost takes mail for %[1]s at %[2]s and hands it to Postfix at %[3]s.

  send a mail      swaks --server %[2]s --from anna@sender.test --to %[4]s
  and one refused  swaks --server %[2]s --from anna@sender.test --to nobody@%[1]s
  read it          cat %[5]s/new/*
  other mailboxes  %[6]s
`, t.domain, t.smtp, t.postfix, t.mailbox, t.maildir, strings.Join(t.others, ", "))
	// Each command needs the folder of the documents.
	fmt.Fprintf(out, `
  tell its story   %[1]s trace REFERENCE --config %[2]s
                   (the reference stands in the reply and in X-Gatepost-Trace)
  find mail        %[1]s log search --to %[3]s --config %[2]s
  kept as doubtful %[1]s quarantine list --config %[2]s
  how all parts do %[1]s status --config %[2]s
  is all well?     %[1]s doctor --config %[2]s
`, t.program, t.dir, t.mailbox)
	fmt.Fprintf(out, `
  settings         %[1]s/gatepost.toml and policy.toml; after a change:
                   %[2]s check --config %[1]s && kill -HUP %[3]d
  log              %[1]s/gatepost.log, with the journal, one JSON line an event
`, t.dir, t.program, t.pid)
	if t.console != "" {
		fmt.Fprintf(out, `  in a browser     https://%[1]s/setup, whose certificate is self-signed; the first owner comes in by a code:
                   %[2]s user setup-code --config %[3]s
`, t.console, t.program, t.dir)
	}
	if t.metrics != "" {
		fmt.Fprintf(out, "  for monitoring   http://%[1]s/metrics, http://%[1]s/readyz\n", t.metrics)
	}
	if t.redis != "" {
		fmt.Fprintf(out, "  look into Redis  REDISCLI_AUTH=$(cat %s) redis-cli -s %s --user %s --scan --pattern 'gp:*'\n", t.password, t.redis, redisUser)
	}
	end := "is removed at the end; scripts/run -dir FOLDER keeps it"
	if t.kept {
		end = "stays at the end"
	}
	fmt.Fprintf(out, "  state of all     %s, which %s\n\n", t.state, end)
	fmt.Fprintln(out, "No internet is used: clamd knows only the EICAR signature (clamav.local_only).")
	if t.names {
		fmt.Fprintln(out, "No internet is used: names come from the demo's own zones (--resolver HOST:PORT names a real server).")
	}
	fmt.Fprintln(out)
}
