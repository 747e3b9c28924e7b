package main

import (
	"gatepost/console"
	"gatepost/gateway"
	"gatepost/internal/control"
)

// newConsole makes the operators' pages, over what the daemon knows.
func (d *daemon) newConsole() (*console.Server, error) {
	c, err := console.New(console.Options{Accounts: consoleAccounts{d.users.Accounts}, Outside: consoleOutside{d, consoleAccounts{d.users.Accounts}}, Own: consoleOwn{d.users.Accounts}, Frame: d.consoleFrame, Thresholds: d.consoleThresholds, Logger: d.log, Sections: sections, Served: func() bool { return len(d.document.Load().Policy.Domains) > 0 }})
	if err != nil {
		return nil, err
	}
	c.Surface = &control.Surface{Operations: d.surface.Operations, Audit: d.surface.Audit, Log: d.log}
	return &console.Server{Handler: c.Handler(), Networks: d.bootstrap.Web.ConsoleNetworks, Certificate: d.certificates.Get}, nil
}

// consoleFrame is what each page shows around it.
func (d *daemon) consoleFrame() console.Frame {
	return console.Frame{Host: d.bootstrap.Hostname, Version: version, Policy: d.document.Load().PolicyVersion, Mode: d.now.Load().snapshot.Policy.Mode}
}

// consoleThresholds are those that count for mail to a domain, by the policy in force.
func (d *daemon) consoleThresholds(domain string) (gateway.Thresholds, string) {
	p := d.now.Load().snapshot.Policy
	if at := p.Domain(domain); domain != "" && at != nil && at.Thresholds != nil {
		return *at.Thresholds, p.Version
	}
	return p.Thresholds, p.Version
}
