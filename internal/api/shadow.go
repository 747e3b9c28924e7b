package api

import "time"

// Shadow is a draft of the policy that judges live mail beside the policy in force, and decides nothing.
type Shadow struct {
	Running bool      `json:"running"`
	Since   time.Time `json:"since,omitzero"` // zero: there was none since the daemon began
	Until   time.Time `json:"until,omitzero"` // when it ends by itself
	Ended   time.Time `json:"ended,omitzero"`
	By      string    `json:"by,omitempty"`      // who started it
	Comment string    `json:"comment,omitempty"` // what it is to find out
	Policy  string    `json:"policy,omitempty"`  // the draft's digest
	Skipped int       `json:"skipped,omitempty"` // messages that came faster than they could be judged
	Trouble string    `json:"trouble,omitempty"` // why it ended before its time; "" where it did not
	// Result is what the draft would have done to the mail so far; not set where there was no run.
	Result *Simulation `json:"result,omitempty"`
}

// ShadowStart starts one.
type ShadowStart struct {
	Text    string `json:"text,omitempty" secret:"true" doc:"The draft, a document as in policy.toml. One of text and version is needed"`
	Version int64  `json:"version,omitempty" min:"0" doc:"A version of the policy in the place of a draft"`
	For     string `json:"for" required:"true" doc:"How long, from 1m to 7d, such as 90m or 24h. It ends by itself"`
	Comment string `json:"comment,omitempty" doc:"What it is to find out, for whoever looks at it later"`
}
