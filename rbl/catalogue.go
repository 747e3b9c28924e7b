package rbl

// Catalogue is the well-known lists, as their operators document them, each with weights of ours: Decisive alone are
// listings of a person's or a trap's work that hold for the very address (SBL, CSS, XBL, DROP); all others need company.
// None is used before its operator's terms were read, a use was set and, where it wants one, a key.
//
// Sources stand at each list. Where an operator documents no test points, those that RFC 5782 section 5 demands are taken: a
// list that has others is never armed, which is the safe side. The caller owns what is returned.
func Catalogue() []List {
	return append(append(spamhaus(), addressLists()...), domainLists()...)
}

// rule and failure are for the tables below, whose patterns a test reads back.
func rule(pattern, label string, weight int) Rule {
	p, _ := ParsePattern(pattern)
	return Rule{p, label, weight}
}

func failure(pattern, says string) Failure {
	p, _ := ParsePattern(pattern)
	return Failure{p, says}
}

// testPoints are those of lists of addresses (RFC 5782 section 5).
func testPoints() (listed, free []string) { return []string{"127.0.0.2"}, []string{"127.0.0.1"} }

// spamhaus: return codes of docs.spamhaus.com, "Available Zones" (040-zones.html); error codes of www.spamhaus.org/returnc and
// of news article 788; free use (not commercial, under 300,000 queries in a day) of its DNSBL usage terms.
func spamhaus() []List {
	errs := []Failure{
		failure("127.255.255.250", "the key is disabled"),
		failure("127.255.255.251", "the key is not accepted"),
		failure("127.255.255.252", "the zone's name is mistyped"),
		failure("127.255.255.254", "asked through a public resolver, or one without a name of its own"),
		failure("127.255.255.255", "asked too often"),
	}
	zen := []Rule{
		rule("127.0.0.2", "SBL", Decisive),
		rule("127.0.0.3", "CSS", Decisive),
		rule("127.0.0.4", "XBL", Decisive),
		rule("127.0.0.9", "DROP", Decisive),
		rule("127.0.0.10", "PBL (ISP)", 5),
		rule("127.0.0.11", "PBL", 5),
		rule("127.0.0.30", "BCL", 9),
	}
	dbl := []Rule{
		rule("127.0.1.2", "spam domain", 7),
		rule("127.0.1.4", "phishing domain", 9),
		rule("127.0.1.5", "malware domain", 9),
		rule("127.0.1.6", "botnet domain", 9),
		// Owners of abused domains are victims, and send mail of their own.
		rule("127.0.1.102", "abused domain", 2),
		rule("127.0.1.103", "abused redirector", 2),
		rule("127.0.1.104", "abused for phishing", 2),
		rule("127.0.1.105", "abused for malware", 2),
		rule("127.0.1.106", "abused for a botnet", 2),
	}
	dblErrs := append([]Failure{failure("127.0.1.255", "an address was asked about")}, errs...)
	const (
		mirrors = "Free for non-commercial use within 300,000 queries a day for all of its zones, through a resolver of one's own"
		query   = "Data Query Service: by key, free for small non-commercial use, else by subscription"
		look    = "https://check.spamhaus.org/"
	)
	listed, free := testPoints()
	// dbltest.com is the DBL's test point (Spamhaus DBL FAQ); INVALID that of RFC 5782.
	dblListed, dblFree := []string{"dbltest.com"}, []string{"invalid"}
	return []List{
		{Name: "spamhaus-zen", Zone: "zen.spamhaus.org", Inputs: Client, Rules: zen, Errors: errs, Listed: listed, Free: free,
			Quota: 300_000, Terms: mirrors, Website: look},
		{Name: "spamhaus-zen-dqs", Zone: "{key}.zen.dq.spamhaus.net", Inputs: Client, Rules: zen, Errors: errs, Listed: listed, Free: free,
			Commercial: true, Terms: query, Website: look},
		{Name: "spamhaus-dbl", Zone: "dbl.spamhaus.org", Inputs: Domains, Rules: dbl, Errors: dblErrs, Listed: dblListed, Free: dblFree,
			Quota: 300_000, Terms: mirrors, Website: look},
		{Name: "spamhaus-dbl-dqs", Zone: "{key}.dbl.dq.spamhaus.net", Inputs: Domains, Rules: dbl, Errors: dblErrs, Listed: dblListed, Free: dblFree,
			Commercial: true, Terms: query, Website: look},
		{Name: "spamhaus-zrd", Zone: "{key}.zrd.dq.spamhaus.net", Inputs: HeloName | MailFrom | From | Link,
			Rules: []Rule{rule("127.0.2.2-24", "domain new within a day", 3)}, Errors: dblErrs, Listed: []string{"test"}, Free: dblFree,
			Commercial: true, Terms: query, Website: look},
		// Hosts that try stolen passwords: no statement about their mail, so little weight on port 25.
		{Name: "spamhaus-authbl", Zone: "{key}.authbl.dq.spamhaus.net", Inputs: Client,
			Rules: []Rule{rule("127.0.0.20", "AuthBL", 3)}, Errors: errs, Listed: listed, Free: free,
			Commercial: true, Terms: query, Website: look},
	}
}

// addressLists are the other lists of addresses.
func addressLists() []List {
	listed, free := testPoints()
	return []List{
		// docs.abusix.com, Guardian Mail, "Production Zones": combined. Its test points are those too.
		{Name: "abusix", Zone: "{key}.combined.mail.abusix.zone", Inputs: Client,
			Rules: []Rule{
				rule("127.0.0.2", "spam trap", 7),
				rule("127.0.0.3", "low reputation", 5),
				rule("127.0.0.4", "exploited host", 8),
				rule("127.0.0.11", "generic reverse name", 3),
				rule("127.0.0.12", "no reverse name", 3),
				rule("127.0.0.200", "listed by hand", 8),
			},
			Listed: []string{"127.0.0.2", "127.0.0.4", "127.0.0.11", "::ffff:127.0.0.2"}, Free: free,
			Commercial: true, Terms: "By key", Website: "https://lookup.abusix.com/"},
		// www.spamcop.net/bl.shtml and its FAQ, which advises against refusing by this list alone.
		{Name: "spamcop", Zone: "bl.spamcop.net", Inputs: ClientIPv4, Rules: []Rule{rule("127.0.0.2", "reported as spam", 5)},
			Listed: listed, Free: free, Commercial: true, Terms: "Free of charge", Website: "https://www.spamcop.net/bl.shtml"},
		// www.barracudacentral.org/rbl/how-to-use: one code, with the RFC's test point; it answers resolvers that were registered.
		{Name: "barracuda", Zone: "b.barracudacentral.org", Inputs: ClientIPv4, Rules: []Rule{rule("127.0.0.2", "poor reputation", 5)},
			Listed: listed, Free: free, Commercial: true, Terms: "Free after registration of the resolver's address",
			Website: "https://www.barracudacentral.org/lookups"},
		// psbl.org: spam traps, anybody may take an address off.
		{Name: "psbl", Zone: "psbl.surriel.com", Inputs: ClientIPv4, Rules: []Rule{rule("127.0.0.2", "spam trap", 4)},
			Listed: listed, Free: free, Commercial: true, Terms: "Free of charge", Website: "https://psbl.org/listing"},
		// mailspike.org/usage.html: bl is z (127.0.0.2) and the three worst reputations.
		{Name: "mailspike", Zone: "bl.mailspike.net", Inputs: ClientIPv4,
			Rules: []Rule{
				rule("127.0.0.2", "spam wave", 6),
				rule("127.0.0.10", "worst reputation", 6),
				rule("127.0.0.11", "very bad reputation", 5),
				rule("127.0.0.12", "bad reputation", 3),
			},
			Listed: listed, Free: free, Quota: 100_000, Commercial: true,
			Terms:   "Free under 100,000 messages and 100,000 queries a day",
			Website: "https://mailspike.org/iplookup.html"},
		// www.dnswl.org: 127.0.(category).(trust); 127.0.0.255 to those who ask too much; the limit of "Am I blocked?" and of "How to
		// subscribe". Its test point answers 127.0.10.0.
		{Name: "dnswl", Zone: "list.dnswl.org", Inputs: Client,
			Rules: []Rule{
				rule("127.0.2-15.3", "high trust", -9),
				rule("127.0.2-15.2", "medium trust", -5),
				rule("127.0.2-15.1", "low trust", -2),
				rule("127.0.2-15.0", "known, no trust", -1),
			},
			Errors: []Failure{failure("127.0.0.255", "asked too often, or through a public resolver")},
			Listed: listed, Free: free, Quota: 100_000, Commercial: true,
			Terms: "Free under 100,000 queries in 24 hours for an organization; above, or to resell, by subscription", Website: "https://www.dnswl.org/s/"},
	}
}

// domainLists are lists of domains seen in spam's links. Their operators made them for links and not for senders, so a sender
// there weighs little, and of senders only the author's domain is asked about; the check of links prices a weight higher. They have
// registered domains only (surbl.org/guidelines, step 2; SpamAssassin and rspamd ask uribl.com so too), and the addresses of links that
// have no name, in the order of RFC 5782 section 2.1.
func domainLists() []List {
	return []List{
		// www.surbl.org/lists: bits of the last octet. 127.0.0.1: access is blocked. Test point: surbl-org-permanent-test-point.com.
		{Name: "surbl", Zone: "multi.surbl.org", Inputs: From | Link | LinkIPv4, Registered: true,
			Rules: []Rule{
				rule("127.0.0.&8", "phishing", 5),
				rule("127.0.0.&16", "malware", 5),
				rule("127.0.0.&64", "abuse", 3),
				rule("127.0.0.&128", "cracked site", 2),
			},
			Errors: []Failure{failure("127.0.0.&1", "access is blocked: asked too often, or through a public resolver")},
			Listed: []string{"surbl-org-permanent-test-point.com"}, Free: []string{"invalid"},
			Terms: "Public DNS free for small sites, else by subscription", Website: "https://surbl.org/surbl-analysis"},
		// uribl.com/about.shtml and refused.shtml: bits of the last octet, bit 1 is a refused query. Test point: test.uribl.com.
		{Name: "uribl", Zone: "multi.uribl.com", Inputs: From | Link | LinkIPv4, Registered: true,
			Rules: []Rule{
				rule("127.0.0.&2", "black", 4),
				rule("127.0.0.&4", "grey", 1),
				rule("127.0.0.&8", "red", 1),
			},
			Errors: []Failure{failure("127.0.0.&1", "the query was refused: asked too often, or through a public resolver")},
			Listed: []string{"test.uribl.com"}, Free: []string{"invalid"},
			Terms: "Public DNS free for low volume, else by subscription", Website: "https://admin.uribl.com/"},
	}
}
