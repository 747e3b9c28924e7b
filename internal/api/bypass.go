package api

import "time"

// Bypass is a check that an operator left out for a while.
type Bypass struct {
	Check  string    `json:"check"` // or "scoring": points decide nothing
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Bypasses are those that are in force at this node.
type Bypasses struct {
	Bypasses []Bypass `json:"bypasses"`
}

// BypassStart asks for one.
type BypassStart struct {
	Check  string `json:"check" required:"true" doc:"The name of a check, or scoring: points decide nothing. Never those that look for malware, tell who exists or whom we serve."`
	For    string `json:"for" required:"true" doc:"How long, as 30m or 2h; a day at most. It ends by itself."`
	Reason string `json:"reason" required:"true" doc:"Why; it is told with the alarm and in the audit log."`
}

// BypassName names one.
type BypassName struct {
	Check string `json:"-" path:"check" doc:"The name of the check, or scoring."`
}
