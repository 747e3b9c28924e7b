package api

import "fmt"

// Appliance is which versions the appliance has, and what is booted next.
type Appliance struct {
	None    string             `json:"none,omitempty"` // why this machine is no appliance; all else is empty then
	Running string             `json:"running,omitempty"`
	Slot    string             `json:"slot,omitempty"`
	Trial   bool               `json:"trial,omitempty"` // the running version was not found good yet
	Next    string             `json:"next,omitempty"`  // that the boot loader takes
	Back    string             `json:"back,omitempty"`  // that a rollback returns to
	All     []ApplianceVersion `json:"versions"`        // in the order of the boot loader
}

// ApplianceVersion is one of them.
type ApplianceVersion struct {
	Version string `json:"version"`
	State   string `json:"state"` // good, waits, trial, withdrawn, failed
	Left    int    `json:"left"`  // boots on trial that are left
	Done    int    `json:"done"`  // that were counted
}

// Words are its state, for people.
func (v *ApplianceVersion) Words() string {
	switch v.State {
	case "good":
		return "good"
	case "waits":
		return "waits for its first boot"
	case "trial":
		return fmt.Sprintf("on trial, boot %d of %d", v.Done, v.Done+v.Left)
	case "withdrawn":
		return "withdrawn by a rollback"
	case "failed":
		if v.Done == 1 {
			return "failed: its slot is damaged, or its only boot did not find itself well"
		}
		return fmt.Sprintf("failed its check %d times", v.Done)
	}
	return "unknown"
}

// ApplianceReset says what of an appliance stays when all else is erased.
type ApplianceReset struct {
	Keep  []string `json:"keep,omitempty" doc:"What stays: log, quarantine, settings"`
	Words string   `json:"words" doc:"The words: erase everything"`
}

// ApplianceErasing is what will stay of an appliance that restarts now to erase the rest.
type ApplianceErasing struct {
	Keep []string `json:"keep"`
}
