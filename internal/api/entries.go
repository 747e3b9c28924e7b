package api

import "time"

// EntryQuery says which entries of allow and block lists are listed.
type EntryQuery struct {
	List   string `json:"list" enum:"client|sender|author|own|rule" doc:"Only those of one list: networks of clients, senders, authors, or recipients' own lists; or the rules of the policy. Not set: all lists of the policy, or for whoever has some domains only, own lists."`
	Mark   string `json:"mark" enum:"unused|soon|over" doc:"Only those that were not met for 30 days, that are over within 14 days, or that are over."`
	Rcpt   string `json:"rcpt" doc:"Of own lists: only the recipient's."`
	Limit  int    `json:"limit" default:"100" min:"1" max:"1000" doc:"How many at most."`
	Cursor string `json:"cursor" doc:"Where to go on: next of the answer before."`
}

// Entries are entries of lists, those of the policy as its document has them, own lists by recipient; or rules.
type Entries struct {
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
	// Trouble is why hits are not known, or not all of them; "" where they are.
	Trouble string `json:"trouble,omitempty"`
}

// Entry is one entry or rule in force, with how often it was met, at all nodes that share their control data.
type Entry struct {
	List     string    `json:"list"` // client, sender, author, own, rule
	Kind     string    `json:"kind"` // allow, block; of a rule what it does
	Rcpt     string    `json:"rcpt,omitempty"`
	Value    string    `json:"value"` // as the explanation of a message names it: a network, "helo x", "address y", an author, the name of a rule
	Owner    string    `json:"owner,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Expires  string    `json:"expires,omitempty"`  // the last day, YYYY-MM-DD; "" for always
	Since    time.Time `json:"since,omitzero"`     // counted from then on; of an own list when it was made
	Last     time.Time `json:"last,omitzero"`      // when it was met for the last time
	Hits     int64     `json:"hits"`               // messages of the last 30 days, and connections that brought none
	Unused   bool      `json:"unused,omitempty"`   // not met for 30 days, in which it was counted
	Soon     bool      `json:"soon,omitempty"`     // over within 14 days
	Over     bool      `json:"over,omitempty"`     // it does not count any more
	Observed bool      `json:"observed,omitempty"` // of a rule: it is only observed
}

// EntryTry is an entry of the policy that is tried on recorded mail before it is written.
type EntryTry struct {
	List  string `json:"list" required:"true" enum:"client|sender|author" doc:"The list: networks of clients, senders, authors."`
	Kind  string `json:"kind" default:"block" enum:"block|allow" doc:"What it does. Senders are only blocked, authors only allowed."`
	Name  string `json:"name" enum:"|address|helo|reverse" doc:"Of senders: what it is compared with. Not set: address."`
	Value string `json:"value" required:"true" doc:"The network, address or name, as the entry would have it."`
	Days  int    `json:"days" default:"7" min:"1" max:"400" doc:"The mail of how many days, up to now."`
	Limit int    `json:"limit" default:"20" min:"1" max:"1000" doc:"How many messages are listed."`
}

// EntryTried is what an entry would have done.
type EntryTried struct {
	Value    string      `json:"value"`     // as findings would name it
	Messages int         `json:"messages"`  // that were looked at
	Met      int         `json:"met"`       // of these: it would have met them
	Unsure   int         `json:"unsure"`    // of the others: whether it would have is not known, for want of what was not found out then
	Changed  int         `json:"changed"`   // of those met: another verdict than without it, for all or for one recipient
	Milder   int         `json:"milder"`    // of these
	Harder   int         `json:"harder"`    //
	NotKnown int         `json:"not_known"` // of those met: whether it would have changed the verdict
	Matrix   []SimLine   `json:"matrix"`    // of those met: a line for each verdict without it
	List     []SimChange `json:"list"`      // of those that change, the newest
	More     int         `json:"more"`      // that are not in the list
	First    time.Time   `json:"first,omitzero"`
	Last     time.Time   `json:"last,omitzero"`
	Took     int64       `json:"took_ms"`
	Gaps     []string    `json:"gaps,omitempty"` // days that could not be read
}
