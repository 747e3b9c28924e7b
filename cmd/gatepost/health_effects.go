package main

import (
	"strings"

	"gatepost/gateway"
	"gatepost/internal/api"
)

// advise says of each server and part that is not well what it does to mail meanwhile, and what to do about it.
func advise(s *api.Status, p *gateway.Policy) {
	unwell := map[string]bool{}
	for i := range s.Parts {
		if x := &s.Parts[i]; !x.OK {
			unwell[x.Part] = true
			x.Effect, x.Do = partEffect(x.Part, p), partAdvice(x.Part)
		}
	}
	for i := range s.Servers {
		x := &s.Servers[i]
		if x.OK {
			continue
		}
		part := x.Of()
		x.Effect, x.Do = partEffect(part, p), partAdvice(part)
		if !unwell[part] && x.Effect != "" {
			x.Effect = "None yet: the others answer, or it was asked nothing since."
		}
	}
}

// effects are what becomes of mail while a part is not well; docs/faults.md is held against the running program, and says the same at
// length.
var effects = map[string]string{
	"next hops":        "Mail for it is deferred with 451, and its senders keep it; where its route says when_down = \"spool\", it waits in the queue.",
	"dns":              "Mail that cannot be judged without an answer is deferred with 451: its senders keep it.",
	"lists":            "Mail is judged without what that list says, and delivered with the mark X-Gatepost-Unscanned: rbl.client.",
	"redis":            "None for mail that is good: each node counts for itself, so that limits and greylisting may be milder.",
	"spool":            "Nothing new is put into the queue: mail whose next hop is away is deferred with 452 or 451.",
	"spool queue":      "Mail has waited in the queue for longer than queue.alarm_after.",
	"dead letters":     "Mail that a next hop refused for good lies in the queue, and its senders were not told.",
	"quarantine":       "Mail that policy would keep back is deferred with 451: its senders keep it.",
	"quarantine_index": "None. Lists of the quarantine show only what the node keeps that is asked.",
	"backup":           "None. If this machine were lost now, what was changed since the last good backup would be gone.",
	"settings":         "None. What gatepost.toml says cannot be read, so that nobody can change it.",
	"certificates":     "Senders that verify us by name deliver nothing; others go on.",
	"acme":             "None, until the certificate that is shown now ends.",
	"tlsa":             "Senders that verify us by DANE deliver nothing; others go on.",
	"mta-sts":          "Senders that verify us by MTA-STS may deliver nothing; others go on.",
	"signatures":       "Malware that only a newer database knows passes.",
	"directories":      "Recipients are known as they were read last; those of a directory that was never read are deferred with 451.",
	"recipients":       "A next hop takes any recipient: who does not exist is not refused at once, and that mail is never spooled.",
	"unpack":           "Attachments that cannot be looked into are treated as unknown, as checks.attachments says.",
	"sandbox":          "None. A fault in the program would reach further than it should.",
	"descriptors":      "None yet. New connections are turned away when none are left.",
	"listeners":        "New connections are refused: senders try again later, or at another host.",
	"accept":           "New connections wait, or are refused.",
	"load":             "New clients are given less time, and some are sent away with 421.",
	"clients":          "None. Limits of clients that came long ago may be forgotten.",
	"control_data":     "None. Logins, the audit log and new versions of the policy wait.",
	"policy_versions":  "None: the policy in force stays. This node may miss a newer version.",
	"login":            "None. Whom the directory or the issuer knows cannot log in; users of this host can.",
	"audit":            "None. Entries of the audit log wait on disk.",
	"log":              "None. The message log lacks what came meanwhile.",
	"journal":          "None. Lines of the journal are lost.",
	"ledger":           "None. After a crash a sender's second try may be delivered twice.",
	"digests":          "None. Users are not told of what is kept for them.",
	"dmarc reports":    "None. Reports to other domains wait.",
	"tls reports":      "None. Reports to other domains wait.",
}

// partEffect is what becomes of mail while a part is not well; "" where that is not known. What scanners mean is up to the policy.
func partEffect(name string, p *gateway.Policy) string {
	if text := effects[name]; text != "" {
		return text
	}
	check, ok := p.Checks[name]
	switch {
	case !ok:
		return ""
	case check.Unknown >= gateway.ActionDefer:
		return "Mail is deferred with 451: its senders keep it, and nothing passes without " + name + "."
	case check.Unknown == gateway.ActionPass:
		return "Mail is delivered without it, with the mark X-Gatepost-Unscanned: " + strings.ReplaceAll(name, " ", ".") + "."
	}
	return "Mail goes on as if it had found nothing."
}
