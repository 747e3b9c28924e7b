package api

import "time"

// Restore is the backup that was uploaded in the first run, and what became of it.
type Restore struct {
	State  string    `json:"state"`           // none, receives, received, verifies, verified, restores
	Octets int64     `json:"octets"`          // of the file that came, or were read while it is verified or restored
	Size   int64     `json:"size,omitempty"`  // of it, as far as known
	Since  time.Time `json:"since,omitzero"`  // when the state began
	Most   int64     `json:"most,omitempty"`  // octets that the data partition has room for
	Served bool      `json:"served"`          // the first run is over: nothing is taken
	Keeps  string    `json:"keeps,omitempty"` // the folder of the documents, where they stay as they are: the daemon may not write there

	// Of what was verified:
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version,omitempty"` // that made it
	Time    time.Time `json:"time,omitzero"`     // when it was begun
	Parts   []string  `json:"parts,omitempty"`   // what is in it, for people
	Files   int       `json:"files,omitempty"`
	Inside  int64     `json:"inside,omitempty"` // octets of the files
	Left    []string  `json:"left,omitempty"`   // what is not in it, and why
}

// RestoreSize says how large a file is that comes.
type RestoreSize struct {
	Size int64 `json:"size" doc:"octets of the file, as far as known" min:"0"`
}

// RestoreKey opens a backup.
type RestoreKey struct {
	Key string `json:"key" doc:"private keys of age, or the passphrase" secret:"true" required:"true"`
}
