package api

import (
	"time"

	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/quarantine"
)

// KeptAsk is what a list of the quarantine is asked for. What is set must all hold.
type KeptAsk struct {
	IDs      []gateway.ID `json:"id" doc:"Only these"`
	From     string       `json:"from" doc:"A part of the reverse-path or of From; <> is the null reverse-path"`
	To       string       `json:"to" doc:"A part of a recipient"`
	Rcpt     string       `json:"rcpt" doc:"A recipient, exactly but for case"`
	Subject  string       `json:"subject" doc:"A part of the subject"`
	Reason   string       `json:"reason" doc:"The beginning of a reason"`
	Class    string       `json:"class" enum:"spam|other|unscanned|dmarc|impersonation|attachment|malware" doc:"What kind of mail it is"`
	State    string       `json:"state" enum:"visible|releasing|released|deleted" doc:"Of any recipient that is picked"`
	Reported string       `json:"reported" enum:"spam|ham" doc:"As a person said"`
	Damaged  bool         `json:"damaged" doc:"Those that cannot be read"`
	Since    time.Time    `json:"since" doc:"Arrived then or later"`
	Until    time.Time    `json:"until" doc:"Arrived before"`
	Cursor   string       `json:"cursor" doc:"Where to go on: next of the page before"`
	Limit    int          `json:"limit" min:"1" max:"500" default:"100" doc:"How many messages"`
}

// KeptList is a page of it, the newest first, of each message with the copies that the actor sees.
type KeptList struct {
	Messages []quarantine.Row   `json:"messages"`
	Next     string             `json:"next,omitempty"`
	Node     string             `json:"node,omitempty"`    // that answers, where nodes list what others keep as well; each message has its own
	Trouble  string             `json:"trouble,omitempty"` // why only what that node keeps is listed
	Status   *quarantine.Status `json:"status,omitempty"`  // of all of the quarantine; nil for whoever sees some domains only
}

// KeptID names a message in quarantine.
type KeptID struct {
	ID string `path:"id" json:"-" doc:"Its reference"`
}

// KeptLook asks for what is in a message.
type KeptLook struct {
	ID  string `path:"id" json:"-" doc:"Its reference"`
	Why string `json:"why" doc:"What for, in a few words: the audit log keeps it"`
}

// KeptRelease lets messages go.
type KeptRelease struct {
	IDs   []gateway.ID `json:"ids" required:"true" doc:"Which, at most 100"`
	Rcpts []string     `json:"rcpts" doc:"Whose copies; none: all that have not got it, and that you see"`
	To    string       `json:"to" doc:"Another address that gets it, in place of the recipients"`
	Force bool         `json:"force" doc:"Although malware was found in it, or nobody could look"`
}

// KeptDelete erases them.
type KeptDelete struct {
	IDs   []gateway.ID `json:"ids" required:"true" doc:"Which, at most 100"`
	Rcpts []string     `json:"rcpts" doc:"Whose copies; none: all that you see"`
}

// KeptReport says what they are.
type KeptReport struct {
	IDs []gateway.ID `json:"ids" required:"true" doc:"Which, at most 100"`
	As  string       `json:"as" required:"true" enum:"spam|ham" doc:"What they are"`
}

// KeptForward sends them to somebody who looks at them.
type KeptForward struct {
	IDs []gateway.ID `json:"ids" required:"true" doc:"Which, at most 100"`
	To  string       `json:"to" required:"true" doc:"His address, of a domain that is served"`
}

// KeptChanged is what became of them.
type KeptChanged struct {
	Messages []KeptDone `json:"messages"`
}

// KeptDone is what became of one.
type KeptDone struct {
	ID      gateway.ID          `json:"id"`
	Error   string              `json:"error,omitempty"`
	Results []quarantine.Result `json:"results,omitempty"`
	Said    string              `json:"said,omitempty"`
}

// Expired is how many messages were erased.
type Expired struct {
	Expired int `json:"expired"`
}

// KeptKeys are the keys of the quarantine.
type KeptKeys struct {
	Keys []quarantine.KeyInfo `json:"keys"`
}

// KeptKey names one.
type KeptKey struct {
	Key string `path:"key" json:"-" doc:"Its name"`
}

// DigestAsk picks digests.
type DigestAsk struct {
	Rcpt string `json:"rcpt" doc:"Of this recipient only"`
}

// Digests are those that are sent, or would be.
type Digests struct {
	Digests []digest.Told `json:"digests"`
}
