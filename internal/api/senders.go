package api

import "time"

// GreylistAsk is what the waiting list is asked for.
type GreylistAsk struct {
	Limit int `json:"limit" min:"1" max:"10000" default:"100" doc:"How many, those that came last first"`
}

// GreylistPick says which pairs are meant: by their key, or by sender and recipient.
type GreylistPick struct {
	Key  string `json:"key" doc:"The key of a pair, as the list shows it"`
	From string `json:"from" doc:"A part of the sender"`
	To   string `json:"to" doc:"A part of the recipient"`
}

// GreylistForget likewise, or all of an organization or network.
type GreylistForget struct {
	GreylistPick
	Identity string `json:"identity" doc:"An organization or a network, in words or as the list shows it"`
}

// ReputationOf names whose past is meant.
type ReputationOf struct {
	Of string `json:"of" required:"true" doc:"An address, a network (/24, /48), a domain, or client:, network:, organisation: or domain: before it"`
}

// Top is how many of the worst are listed: TopLines by default, TopMost at most.
type Top struct {
	N int `json:"n" min:"1" max:"1000" default:"20" doc:"How many"`
}

// How many of the worst are listed, as the tags of Top say it.
const (
	TopLines = 20
	TopMost  = 1000
)

// RcptAsk is what is asked about recipients.
type RcptAsk struct {
	Address string `json:"address" doc:"Of this one; none: what is remembered of all"`
	Limit   int    `json:"limit" min:"1" max:"100000" default:"100" doc:"How many"`
}

// RcptForget says of whom next hops are asked again.
type RcptForget struct {
	Address string `json:"address" doc:"A recipient, or"`
	Route   string `json:"route" doc:"all of a route"`
}

// RcptImport names recipients that are to be known for a day.
type RcptImport struct {
	Addresses []string `json:"addresses" required:"true" doc:"At most 5000"`
}

// RcptSync says which directories are read now.
type RcptSync struct {
	Name  string `json:"name" doc:"Of the directory; none: all"`
	Force bool   `json:"force" doc:"Take one that lost more than half"`
}

// RcptChanged is how much a change of recipients changed.
type RcptChanged struct {
	Changed int `json:"changed"`
}

// ReceivedAsk picks reports that others sent.
type ReceivedAsk struct {
	Kind   string    `json:"kind" enum:"dmarc|tls" doc:"About what"`
	Domain string    `json:"domain" doc:"About this domain"`
	Since  time.Time `json:"since" doc:"That came then or later"`
	Bodies bool      `json:"bodies" doc:"With what they say"`
	Cursor int64     `json:"cursor" doc:"The number of the last report of the page before: only those behind it"`
	Limit  int       `json:"limit" min:"1" max:"10000" default:"50" doc:"How many, the newest first"`
}

// ReceivedNumber names one.
type ReceivedNumber struct {
	Number int64 `path:"number" json:"-" doc:"Its number"`
}

// ReportsAsk picks reports of ours.
type ReportsAsk struct {
	Domain string `json:"domain" doc:"About this domain"`
	Day    string `json:"day" doc:"About this day: YYYY-MM-DD"`
	DryRun bool   `json:"dry_run" doc:"What would be sent"`
	Format string `json:"format" enum:"9990|7489" doc:"In the words of this RFC"`
}

// RenewAsk says which certificates are ordered anew.
type RenewAsk struct {
	Name  string `json:"name" doc:"The first of its names; none: all"`
	Force bool   `json:"force" doc:"Also less than an hour after the last order"`
}

// DrainAsk begins to drain the host.
type DrainAsk struct {
	After time.Duration `json:"after" doc:"When new connections are refused; in a body, nanoseconds"`
}

// Loaded is the policy that is in force after a reload.
type Loaded struct {
	Policy string `json:"policy"`
	Note   string `json:"note,omitempty"` // what whoever asked should know
}
