package e2e

// daemons are those that dialog scripts are played against, by the name in "-- daemon NAME".
var daemons = map[string]setup{
	// All defaults, but nobody is trusted and nothing waits.
	"plain": {routes: plainRoutes, top: `mode = "enforce"`},
	// Limits that a script can reach.
	"limits": {limits: noWaits + `
command_line = "512"
header = "16K"
hops = 10
recipients = 3
recipients_known = 3
transactions = 3
message_size = "64K"
errors = 5
slow_errors = 5
unknown_commands = 3
`},
	// The shortest times that the configuration allows.
	"slow-data": {limits: noWaits + `data_timeout = "10s"
`},
	"slow-bdat": {limits: noWaits + `data_timeout = "10s"
`},
	"slow-command": {limits: noWaits + `command_timeout = "5s"
`},
	"trickle": {limits: noWaits + `data_window = "5s"
`},
	"waits":       {limits: "unknown_recipient_wait = \"1s\"\nunknown_recipient_wait_all = \"2s\"\nerror_wait = \"1s\"\nslow_errors = 2\n"},
	"connections": {limits: noWaits + "connections_per_client = 3\n"},
	"full":        {limits: noWaits + "connections = 3\nconnections_per_client = 3\n"},
	// The client's network is on our own block list, and refused in place of the banner.
	"at-connect": {offers: "-", policy: blockEverybody + "[smtp]\nrefuse_at = \"connect\"\n"},
	// The banner waits, and who talks before it is treated in different ways.
	"early":       {offers: "-", policy: shortWait},
	"early-score": {offers: "-", policy: shortWait + "action = \"score\"\n"},
	"early-drop":  {offers: "-", policy: shortWait + "action = \"drop\"\n"},
	// Commands that bring no message, with errors that end it soon.
	"junk": {limits: noWaits + "junk_commands = 10\nerrors = 2\nslow_errors = 2\n"},
	// The tests inside a session, with each action that is not the default of all.
	"bots-observe": {policy: bots("observe")},
	"bots-reject":  {policy: bots("reject")},
	"bots-drop":    {policy: bots("drop")},
	// A next hop from long ago.
	"old-hop": {offers: "250-SIZE 934464", routes: []route{{name: "internal", domains: []string{"served.test"}, offers: []string{"SIZE 1000000"}}}},
	// A next hop that is only asked when the message is there.
	"unasked": {routes: []route{{name: "internal", domains: []string{"served.test"}, lines: `recipients = "none"`}}},
	// Everybody's bare CR and LF are made CRLF.
	"normalise": {policy: "[smtp]\nnormalise_for = [\"127.0.0.0/8\"]\n"},
	// The client's network is on our own block list; in the other two modes that is softened.
	"blocked": {policy: blockEverybody},
	"soft":    {policy: blockEverybody, top: `mode = "soft"`},
	"observe": {policy: blockEverybody, top: `mode = "observe"`},
	// Who the author is may be as unclear as it likes.
	"authors": {policy: "[checks.author]\naction = \"observe\"\n"},
	// Aliases, a domain that stands for another, a catch-all, and a recipient with a route of its own.
	"addresses": {routes: []route{{name: "internal", domains: []string{"served.test"}}, {name: "other", domains: []string{"other.test"}}},
		top: "postmaster = \"admin@served.test\"\n", policy: addresses},
	// Programs are taken out of mail, and a banner and a word in the subject say where it comes from.
	"edited": {policy: "[[banner]]\nname = \"external\"\ntext = \"This mail comes from outside.\"\n" +
		"[[rule]]\nname = \"programs\"\ncheck = [\"attachments.type\"]\naction = \"strip\"\n" +
		"[[rule]]\nname = \"outside\"\naction = \"accept\"\nbanner = \"external\"\nsubject = \"[external]\"\n"},
	// What cannot be scanned is let pass, marked.
	"lenient": {policy: "[checks.clamav]\nunknown = \"pass\"\n[checks.spamassassin]\nunknown = \"pass\"\n"},
}

var plainRoutes = []route{
	{name: "internal", domains: []string{"served.test", "*.deep.test", "xn--bcher-kva.test"}},
	{name: "other", domains: []string{"other.test"}},
}

const addresses = `
[[alias]]
address = "sales@served.test"
to = ["ann@served.test", "ben@served.test", "help@old.test"]
[[alias]]
address = "help@served.test"
to = ["help@served.test", "ann@served.test"]
[[alias]]
address = "team@served.test"
to = ["gone@served.test", "ann@served.test"]
[[alias]]
address = "left@served.test"
to = ["gone@served.test"]
[[domain_map]]
from = "old.test"
to = "served.test"
rewrite = "headers"
[[domain]]
name = "caught.test"
route = "other"
subaddress = "+"
catch_all = "sales@served.test"
[[recipient]]
addresses = ["ceo@served.test"]
route = "other"
`

func bots(action string) (out string) {
	for _, check := range []string{"pipelining", "newline", "verb"} {
		out += "[checks." + check + "]\naction = \"" + action + "\"\n"
	}
	return out
}

const blockEverybody = `
[[checks.access.client.entry]]
network = "127.0.0.0/8"
owner = "anna"
reason = "test"
`
