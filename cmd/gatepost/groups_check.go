package main

import (
	"strconv"
	"strings"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/config"
)

// policyWarnings tells of what does nothing, as only reading the files of groups shows, and of entries that can never count.
func policyWarnings(c *config.Config, p *gateway.Policy) (out config.Problems) {
	warn := func(key, message, instead string) {
		pr := config.Problem{File: c.PolicyPath, Key: key, Message: message, Instead: instead, Warning: true}
		where := c.Where[key]
		if line, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
			pr.Line, pr.Column = line, 1
		}
		out = append(out, pr)
	}
	for i := range c.Policy.Groups {
		g, key := &c.Policy.Groups[i], "group."+c.Policy.Groups[i].Name+".file"
		switch {
		case g.File == "":
		case len(p.Groups[i].Addresses)+len(p.Groups[i].Domains) == 0:
			warn(key, g.File+" names nobody, so that the group is empty and what is about it never matches", "write members into the file, one a line, or remove the group")
		case !served(p, p.Groups[i]):
			warn(key, "none of its members is of a domain that is served here, so that what is about the group never matches", "write addresses as senders name them, and a [[domain]] for theirs")
		}
	}
	if o, ok := c.Policy.Checks["access.author"].Options.(*filters.AuthorEntries); ok && len(o.Entries) > 0 && c.Policy.Checks["dmarc"].Action == config.Off {
		warn("checks.dmarc.action", `is "off", and entries of checks.access.author count only where DMARC passes: none of them is used`, `write "observe", which asks DMARC and refuses nobody`)
	}
	return out
}

// served reports whether mail can be for a member of the group.
func served(p *gateway.Policy, g *gateway.Group) bool {
	for address := range g.Addresses {
		if p.Domain(api.Domain(address)) != nil {
			return true
		}
	}
	for domain := range g.Domains {
		if domain[0] == '.' || p.Domain(domain) != nil { // what is below a name is looked at where it is written
			return true
		}
	}
	return false
}
