package api

import "time"

// Backups is how the backups of this gateway are, and which can be fetched from it.
type Backups struct {
	Every   time.Duration  `json:"every"`          // how often one is made by itself; 0: never
	Next    time.Time      `json:"next,omitzero"`  // when the next is due; zero: none is
	Began   time.Time      `json:"began,omitzero"` // of the one that is being made now; zero: none is
	Opens   string         `json:"opens"`          // what opens them: keys, passphrase; "": nobody is named, and none can be made
	With    []string       `json:"with"`
	Keep    int            `json:"keep"`              // how many stay at each target
	Trouble string         `json:"trouble,omitempty"` // why the last one came to no outcome
	Targets []BackupTarget `json:"targets"`
	Files   []BackupFile   `json:"files"`            // those on this machine, the newest first; at most 1000
	Missed  []string       `json:"missed,omitempty"` // folders that could not be read, with the reason
}

// BackupTarget is where backups go, and what came of it last.
type BackupTarget struct {
	Name   string    `json:"name"`
	Where  string    `json:"where"`
	Tried  time.Time `json:"tried,omitzero"`
	Good   time.Time `json:"good,omitzero"` // when a backup was last brought there, whole
	File   string    `json:"file,omitempty"`
	Octets int64     `json:"octets,omitempty"`
	Error  string    `json:"error,omitempty"` // why the last try failed
}

// BackupFile is a backup that lies on this machine.
type BackupFile struct {
	Target string    `json:"target"`
	Name   string    `json:"name"`
	Host   string    `json:"host"`
	Time   time.Time `json:"time"`
	Octets int64     `json:"octets"`
}

// BackupFetch names a backup that lies on this machine.
type BackupFetch struct {
	Target string `json:"target" doc:"The target's name, of a folder of this machine"`
	Name   string `json:"name" doc:"The file's name"`
}
