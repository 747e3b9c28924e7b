package main

import (
	"context"

	"gatepost/gateway/reports"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/memory"
)

func limitsQuestion() control.Operation { // subjects may be recipients of any domain
	return control.Look("limits top", "/limits", "Show who is close to which rate limit now", access.SystemRead)
}
func rblQuestion() control.Operation {
	return control.Look("rbl status", "/rbl", "Show the DNS lists: whether they work, and how much they are asked", access.SystemRead)
}
func sealersQuestion() control.Operation {
	return control.Look("arc sealers", "/arc/sealers", "List the ARC sealers that are not trusted, and what their word would have rescued", access.SystemRead)
}
func dmarcQuestion() control.Operation {
	return control.Look("dmarc report", "/dmarc-reports", "Show DMARC reports to others: what waits, what was sent, what would be", access.SystemRead)
}
func tlsrptQuestion() control.Operation {
	return control.Look("tlsrpt report", "/tls-reports", "Show reports about TLS to next hops: what waits, what was sent, what would be", access.SystemRead)
}
func certificatesQuestion() control.Operation {
	return control.Look("tls status", "/tls/certificates", "Show the certificates: who is shown which, until when, who vouches for them, and what waits", access.SystemRead)
}
func tlsaQuestion() control.Operation {
	return control.Look("tls tlsa", "/tls/tlsa", "Show the TLSA records of our mail hosts: what is published, what should be, and what to do next", access.SystemRead)
}
func policiesQuestion() control.Operation {
	return control.Look("mta-sts show", "/tls/mta-sts", "List the MTA-STS policies of our domains and of next hops", access.SystemRead)
}
func renewQuestion() control.Operation {
	return control.Do("tls renew", "/tls/renew", "Order certificates anew", access.SystemChange)
}
func drainQuestion() control.Operation {
	return control.Do("drain", "/drain", "Have the balancer send clients elsewhere, and refuse new ones after a while", access.SystemChange)
}
func resumeQuestion() control.Operation {
	return control.Do("resume", "/resume", "Take clients again after drain", access.SystemChange)
}
func reloadQuestion() control.Operation {
	return control.Do("reload", "/reload", "Read the configuration again", access.SystemChange)
}

// askReports asks for reports of ours of one kind.
func askReports(ctx context.Context, e cli.Env, f *cli.Flags, kind string, in *api.ReportsAsk, out *reports.Overview) error {
	o := dmarcQuestion()
	if kind == "tlsrpt" {
		o = tlsrptQuestion()
	}
	got, err := cli.Call[reports.Overview](ctx, e, f, o, in)
	if err == nil {
		*out = *got
	}
	return err
}

// senderOperations are those of limits and lists.
func (d *daemon) senderOperations() []control.Operation {
	return []control.Operation{
		control.Define(limitsQuestion(), d.limitsVerb),
		control.Define(rblQuestion(), d.listVerb),
		control.Define(sealersQuestion(), func(context.Context, *struct{}) ([]memory.Sealer, error) { return d.parts.known.Sealers(), nil }),
	}
}

// tlsOperations are those of certificates, policies and reports of ours.
func (d *daemon) tlsOperations() []control.Operation {
	return []control.Operation{
		control.Define(certificatesQuestion(), d.certificatesVerb),
		control.Define(tlsaQuestion(), d.tlsaVerb),
		control.Define(policiesQuestion(), d.policiesVerb),
		control.Define(renewQuestion(), d.renewVerb),
		control.Define(dmarcQuestion(), d.reportVerb),
		control.Define(tlsrptQuestion(), d.tlsReportVerb),
	}
}
