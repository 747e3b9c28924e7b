package main

import (
	"fmt"

	"gatepost/console"
	"gatepost/internal/config"
	"gatepost/internal/resources"
	"gatepost/internal/sshd"
)

// Descriptors beside those of sessions, next hops and scanners: listeners, log files, DNS, monitoring, the commands.
const (
	perSession = 2 // the client, and a file for a message that does not fit into memory
	reserved   = 128
)

// measure finds what the machine gives us, and gives 90 % of the memory to Go. A container that hides it is no reason not
// to start.
func (d *daemon) measure() error {
	m, err := resources.LimitMemory("/", int64(d.bootstrap.Body.MaxMemory))
	if m == nil {
		return err
	}
	if err != nil {
		d.log.Warn("memory: the limit of the control group is not known; the machine's is taken", "error", err)
	}
	d.resources = m
	d.log.Info("memory", "limit", m.String())
	d.descriptors, err = resources.Descriptors()
	return err
}

// descriptorsWanted is how many a configuration may need at once.
func descriptorsWanted(c *config.Config) int {
	b := c.Bootstrap
	n := perSession*c.Policy.Limits.Connections + reserved
	if len(b.Web.PublicHTTP)+len(b.Web.PublicHTTPS) > 0 {
		n += publicConnections // what strangers hold there must not be missing for mail
	}
	if len(b.Web.Portal) > 0 {
		n += publicConnections
	}
	if len(b.Web.SSH) > 0 {
		n += sshd.MaxConnections()
	}
	if b.Web.Console.IsValid() {
		n += console.MaxConnections()
	}
	for i := range c.Policy.Routes {
		for _, h := range c.Policy.Routes[i].NextHops {
			if n += c.Policy.Routes[i].Pool; h.MX != "" || h.SRV != "" {
				n += 3 * c.Policy.Routes[i].Pool // DNS names several
			}
		}
	}
	return n + len(b.ClamAV.Addresses)*b.ClamAV.MaxConnections + len(b.SpamAssassin.Addresses)*b.SpamAssassin.MaxConnections + engineDescriptors(b)
}

// descriptorHealth is the part "descriptors" of health: whether limits.connections can be reached.
func (d *daemon) descriptorHealth() (bool, string) {
	c := d.document.Load()
	if want := descriptorsWanted(c); want > d.descriptors {
		return false, fmt.Sprintf("limits.connections = %d may need %d file descriptors, and %d are allowed: write LimitNOFILE=%d into gatepost.service, or a lower limits.connections",
			c.Policy.Limits.Connections, want, d.descriptors, want)
	}
	return true, fmt.Sprintf("%d allowed", d.descriptors)
}

// warnDescriptors tells at the start and at a reload what health tells all the time.
func (d *daemon) warnDescriptors() {
	if ok, detail := d.descriptorHealth(); !ok {
		d.log.Warn("descriptors: too few", "detail", detail)
	}
}
