package doctor

// IDs are those of all lines, in the order of the groups. docs/doctor.md tells what each means.
func IDs() []string {
	return []string{
		"dns.resolver", "dns.dnssec", "dns.public", "dns.unfinished",
		"domain.served", "domain.mx_host", "domain.mx", "domain.spf", "domain.dmarc", "domain.mta_sts", "domain.tlsrpt", "domain.tlsa",
		"domain.rest", "domain.unfinished",
		"host.name", "host.fcrdns", "host.unfinished",
		"listener.reach", "listener.banner", "listener.offers", "listener.starttls", "listener.certificate", "listener.relay", "listener.unfinished",
		"daemon.running", "daemon.policy", "daemon.drain", "daemon.memory", "daemon.part", "daemon.unfinished",
		"lists.used", "lists.works", "lists.listed", "lists.unfinished",
		"clock.synchronised", "clock.unfinished",
		"nexthops.reach", "nexthops.tls", "nexthops.size", "nexthops.offers", "nexthops.recipients", "nexthops.unfinished",
		"scanners.clamd", "scanners.signatures", "scanners.limit", "scanners.spamd", "scanners.rules", "scanners.engine", "scanners.redis", "scanners.unfinished",
		"services.directory", "services.notices", "services.reports", "services.arc_key", "services.acme", "services.unfinished",
		"disk.folder", "disk.space", "disk.inodes", "disk.fsync", "disk.unfinished",
		"web.mta_sts", "web.acme", "web.unfinished",
	}
}
