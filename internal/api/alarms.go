package api

import (
	"gatepost/internal/alarm"
)

// Alarm is an alarm of a node.
type Alarm struct {
	Node string `json:"node"`
	alarm.Alarm
}

// AlarmQuery says which alarms are listed.
type AlarmQuery struct {
	All      bool   `json:"all" doc:"Also those that are over, of the last week."`
	Severity string `json:"severity" enum:"info|warning|critical" doc:"Only those that are as bad, or worse."`
	Limit    int    `json:"limit" default:"100" min:"1" max:"1000" doc:"How many at most."`
	Cursor   string `json:"cursor" doc:"Where to go on: next of the answer before."`
}

// Alarms are alarms, those that stand first, the worst and then the newest first, and those of other nodes at the end.
type Alarms struct {
	Alarms []Alarm `json:"alarms"`
	Next   string  `json:"next,omitempty"`
	// Trouble is why alarms of other nodes are not known; "" where they are, or where there are none.
	Trouble string `json:"trouble,omitempty"`
}

// AlarmName names an alarm of the node.
type AlarmName struct {
	ID string `json:"-" path:"id" doc:"The name of the alarm, as part:dns."`
}

// AlarmAck says that somebody knows of an alarm.
type AlarmAck struct {
	ID    string `json:"-" path:"id" doc:"The name of the alarm, as part:dns."`
	Note  string `json:"note" doc:"What is known of it."`
	For   string `json:"for" doc:"How long it is not told again, as 2h or 3d; nothing: until it is over."`
	Owner string `json:"owner" doc:"Who takes care of it; nothing: whoever did."`
}

// AlarmPaths are the ways by which people are told.
type AlarmPaths struct {
	Paths []AlarmPath `json:"paths"`
}

// AlarmPath is one of them.
type AlarmPath struct {
	alarm.Stats
	Least string `json:"least"` // milder alarms do not go by it
	To    string `json:"to"`    // where it leads, without secrets
}

// AlarmTest is what each path answered.
type AlarmTest struct {
	Paths []alarm.Said `json:"paths"`
}

// AlarmTestOf says which path is tried.
type AlarmTestOf struct {
	Path string `json:"path" doc:"Only this one; nothing: all."`
}
