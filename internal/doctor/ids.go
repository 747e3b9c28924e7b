package doctor

// IDs are those of all lines, in the order of the groups. docs/doctor.md tells what each means.
func IDs() []string {
	return []string{
		"dns.resolver", "dns.dnssec", "dns.public", "dns.unfinished",
		"domain.served", "domain.mx_host", "domain.mx", "domain.spf", "domain.dmarc", "domain.tlsa", "domain.mta_sts", "domain.tlsrpt",
		"domain.rest", "domain.unfinished",
		"host.name", "host.fcrdns", "host.unfinished",
	}
}
