package api

import (
	"encoding/json"
	"time"
)

// PrivacyAsked says about whom something is exported or erased, and why. The address is not in the audit log, but its pseudonym is:
// who knows the address finds the entry.
type PrivacyAsked struct {
	Address string `json:"address" required:"true" secret:"true" doc:"The address of the person, whole"`
	Reason  string `json:"reason" doc:"Why, such as the reference of his request; it is in the audit log"`
}

// PrivacyJob is an export or erasure that runs, or the last one that did.
type PrivacyJob struct {
	What    string        `json:"what"`           // export, erase; "" where none has run since the start
	Name    string        `json:"name,omitempty"` // the pseudonym of the address
	Began   time.Time     `json:"began,omitzero"`
	Ended   time.Time     `json:"ended,omitzero"`
	Running bool          `json:"running"`
	At      string        `json:"at,omitempty"` // the part at which it is
	Parts   []PrivacyPart `json:"parts"`
}

// Failed reports whether a part could not do all that it was asked.
func (j *PrivacyJob) Failed() bool {
	for i := range j.Parts {
		if j.Parts[i].Error != "" {
			return true
		}
	}
	return false
}

// PrivacyPart is what became of one kind of data.
type PrivacyPart struct {
	Part    string            `json:"part"`
	Found   int               `json:"found"`             // records about the person
	Erased  int               `json:"erased"`            // of these, gone or without him now
	Kept    string            `json:"kept,omitempty"`    // why what is left stays, and until when
	Error   string            `json:"error,omitempty"`   // what could not be read or changed
	More    bool              `json:"more,omitempty"`    // there were more records than an export holds
	Records []json.RawMessage `json:"records,omitempty"` // of an export
}
