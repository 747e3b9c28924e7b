package api

import "time"

// AuditPick picks entries of the audit log.
type AuditPick struct {
	Actor     string    `json:"actor" doc:"Who did it, exactly"`
	Operation string    `json:"operation" doc:"What was done, such as queue retry"`
	Object    string    `json:"object" doc:"With what, exactly"`
	Domain    string    `json:"domain" doc:"To which domain it belongs"`
	Since     time.Time `json:"since" doc:"Not before"`
	Until     time.Time `json:"until" doc:"Before"`
}

// AuditQuery asks for a part of those that are picked.
type AuditQuery struct {
	AuditPick
	Limit  int    `json:"limit" default:"100" min:"1" max:"1000" doc:"How many at most"`
	Cursor string `json:"cursor" doc:"Where to go on: next of the list before"`
}

// AuditList is part of the audit log, the newest first.
type AuditList struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty"` // the cursor of what is older; "" at the end
}

// AuditEntry is what somebody did, looked into, or was refused.
type AuditEntry struct {
	Number    int64     `json:"number"` // in the chain, from 1 without gaps
	Time      time.Time `json:"time"`
	Node      string    `json:"node"` // that noted it
	Actor     string    `json:"actor"`
	Role      string    `json:"role,omitempty"`
	Via       string    `json:"via"`               // socket, session, token, portal, or the daemon itself
	Address   string    `json:"address,omitempty"` // of the client; "" by the socket
	Operation string    `json:"operation"`
	Object    string    `json:"object,omitempty"`
	Domain    string    `json:"domain,omitempty"`
	Asked     string    `json:"asked,omitempty"`  // JSON, without what is secret
	Before    string    `json:"before,omitempty"` // likewise
	After     string    `json:"after,omitempty"`  // likewise
	Error     string    `json:"error,omitempty"`  // "" where it was done
	Source    string    `json:"source"`           // the entry's own name
	Erased    bool      `json:"erased,omitempty"` // its text went by age
}

// AuditReport is what became of the check of the chain.
type AuditReport struct {
	Entries int64  `json:"entries"`
	Erased  int64  `json:"erased"` // of these by age
	Head    string `json:"head"`   // number and hash of the last: to be kept where nobody of this machine writes
	Bad     int64  `json:"bad"`    // number of the first that does not hold; 0: all hold
	Why     string `json:"why,omitempty"`
}
