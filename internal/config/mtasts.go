package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The values of the key mode of a HostedPolicy.
const (
	MTASTSNone    = "none"
	MTASTSTesting = "testing"
	MTASTSEnforce = "enforce"
)

// HostedPolicy is the MTA-STS policy that is published for a domain.
type HostedPolicy struct {
	Mode   string        `toml:"mode" enum:"none,testing,enforce" default:"testing" rfc:"RFC 8461 section 5" doc:"testing: senders report what would fail, and deliver all the same; enforce: senders deliver only to hosts of the policy, encrypted and verified; none: takes a policy back that was published before. Begin with testing; gatepost mta-sts advise says when to go on."`
	MX     []string      `toml:"mx" format:"certificate-name" example:"mx1.example.org, mx2.example.org" rfc:"RFC 8461 section 4.1" doc:"Mail hosts of the domain beside the hostname of this gateway, which is always one: every host that an MX record of the domain names. *.example.org stands for names with one label more."`
	MaxAge time.Duration `toml:"max_age" max:"365d" example:"7d" rfc:"RFC 8461 section 3.2" doc:"How long senders keep the policy. 0s or not set: 7d with enforce, else 1d. It cannot be taken back sooner."`
}

// Fill says how long a policy is kept, where the document does not.
func (h *HostedPolicy) Fill() {
	if h.MaxAge == 0 {
		h.MaxAge = 24 * time.Hour
		if h.Mode == MTASTSEnforce {
			h.MaxAge = 7 * 24 * time.Hour
		}
	}
}

// mostPolicyHosts is how many hosts a policy may name.
const mostPolicyHosts = 100

// Validate refuses what could not be published.
func (h *HostedPolicy) Validate(report func(key, message, instead string)) {
	if len(h.MX) > mostPolicyHosts {
		report("mx", "has "+strconv.Itoa(len(h.MX))+" hosts, at most "+strconv.Itoa(mostPolicyHosts), "write a pattern, for example *.example.org")
	}
	if h.MaxAge < 5*time.Minute || h.MaxAge%time.Second != 0 {
		report("max_age", "is less than the five minutes between two looks of a sender, or no whole number of seconds", `write for example "7d"`)
	}
}

// Warn tells of an enforce that protects little.
func (h *HostedPolicy) Warn(report func(key, message, instead string)) {
	if h.Mode == MTASTSEnforce && h.MaxAge > 0 && h.MaxAge < 24*time.Hour {
		report("max_age", "is short for enforce: whoever can forge DNS for that long can have mail sent to himself", "write a week or more once all is well (RFC 8461 section 3.2)")
	}
}

// Hosts are the patterns that are published, sorted: those of every gateway with the same document and hosts are the same.
func (h *HostedPolicy) Hosts(hostname string) []string {
	all := append([]string{strings.ToLower(hostname)}, h.MX...)
	slices.Sort(all)
	return slices.Compact(all)
}
