package filters

import (
	"time"

	"gatepost/gateway"
)

// row is one line of the plan: checks that run at the same time.
type row struct {
	checks   []Definition
	deadline time.Duration
	when     func(v *gateway.Verdict, in *gateway.Input) gateway.Reason
	late     bool // begun with the connection, and joined before what it may decide
	conduct  bool // runs whenever the client did something that such checks look at, up to the end of the message
}

// plan is the order of everything, on one screen: rows one after another, the checks of a row at the same time. Cheap
// before expensive; a row is left out once the verdict is final.
func plan() [gateway.Data + 1][]row {
	return [...][]row{
		gateway.Connect: {
			{checks: []Definition{accessClient(), rateConnections()}, deadline: time.Second},
			{checks: []Definition{rblClient()}, deadline: 8 * time.Second, late: true},
			{checks: []Definition{pregreet(), pipelining(), newline(), verb()}, deadline: time.Second, conduct: true},
		},
		gateway.Helo: {
			{checks: []Definition{helo(), rdns(), spfHeloCheck(), rblHelo()}, deadline: 8 * time.Second},
		},
		gateway.Mail: {
			{checks: []Definition{accessSender(), tlsCheck(), rateMessages()}, deadline: 8 * time.Second},
			{checks: []Definition{sender(), spfCheck(), rblSender()}, deadline: 8 * time.Second},
			{checks: []Definition{reputationCheck()}, deadline: 8 * time.Second},
		},
		gateway.Rcpt: {
			{checks: []Definition{relay()}, deadline: time.Second},
			{checks: []Definition{rateRecipients(), greylistCheck()}, deadline: 8 * time.Second},
			{checks: []Definition{rcpt()}, deadline: 70 * time.Second},
		},
		gateway.Data: {
			{checks: []Definition{shape(), authorCheck(), mimeCheck()}, deadline: 5 * time.Second},
			{checks: []Definition{dkimCheck(), arcCheck(), dmarcCheck(), accessAuthor(), accessOwn(), rblAuthor()}, deadline: 8 * time.Second},
			{checks: []Definition{impersonatedPerson(), impersonatedDomain(), impersonatedOwn(), replyElsewhere(), firstContact()}, deadline: time.Second},
			{checks: []Definition{attachmentsType(), attachmentsName(), attachmentsEncrypted(), attachmentsArchive(), attachmentsMacro(), attachmentsActive(), urls(), rblURL()}, deadline: 45 * time.Second},
			{checks: []Definition{rateOctets(), greylistNull(), postureCheck()}, deadline: 8 * time.Second},
			{checks: []Definition{clamAV(), icapCheck(), spamAssassin(), rspamdCheck(), milterCheck(), hookCheck()}},
		},
	}
}

// AuthChecks are the checks that tell who really sent a message. They ask DNS and nobody else, and need no live client.
func AuthChecks() []string {
	return []string{"helo", "rdns", "spf.helo", "spf", "author", "dkim", "arc", "dmarc"}
}
