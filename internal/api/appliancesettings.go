package api

import "time"

// ApplianceSettings is gatepost.toml of an appliance, and how it came to be in force.
type ApplianceSettings struct {
	None     string     `json:"none,omitempty"`  // why this machine is no appliance; all else is empty then
	Text     string     `json:"text"`            // of gatepost.toml, as it is in force
	Image    bool       `json:"image,omitempty"` // nobody has confirmed other settings than those of the image
	Trial    bool       `json:"trial,omitempty"` // they are on trial: the next start does not have them unless they are confirmed
	Until    *time.Time `json:"until,omitempty"` // when the machine restarts with those before, if nobody confirms them
	Waits    bool       `json:"waits,omitempty"` // others are tried by the next start
	Over     *time.Time `json:"over,omitempty"`  // when others had been sent that were tried and not confirmed; within a day
	Tried    string     `json:"tried,omitempty"` // their text
	Warnings []string   `json:"warnings,omitempty"`
	Folder   string     `json:"folder,omitempty"` // of the files that it can name
}

// ApplianceSettingsTry is another gatepost.toml.
type ApplianceSettingsTry struct {
	Text string `json:"text" secret:"true" doc:"The text of gatepost.toml, in place of the one in force; at most 256 KiB"`
}

// ApplianceFiles are the files that gatepost.toml can name.
type ApplianceFiles struct {
	None   string          `json:"none,omitempty"` // why this machine is no appliance
	Folder string          `json:"folder"`         // in which they lie
	Files  []ApplianceFile `json:"files"`          // by their names
	Note   string          `json:"note,omitempty"` // when what was just put takes effect
}

// ApplianceFile is one of them. Nobody is told what is in it.
type ApplianceFile struct {
	Name   string    `json:"name"`
	Octets int64     `json:"octets"`
	Time   time.Time `json:"time"`   // when it was put there
	SHA256 string    `json:"sha256"` // in hexadecimal digits
	Used   bool      `json:"used"`   // the settings name it
}
