package api

import "time"

// LinksAsk picks linked addresses.
type LinksAsk struct {
	Address string `json:"address" doc:"Only those of this address, on either side"`
	Cursor  int64  `json:"cursor" min:"0" doc:"The number of the last link of the page before: only those behind it"`
	Limit   int    `json:"limit" min:"1" max:"1000" default:"100" doc:"How many are looked at, the newest first"`
}

// LinkNumber names one.
type LinkNumber struct {
	ID int64 `json:"-" path:"id" doc:"Its number, as the list shows it"`
}

// Link lets a user of the portal see a further address as his own.
type Link struct {
	ID      int64     `json:"id"`
	Owner   string    `json:"owner"`   // who sees; "" where he is of a domain that whoever asks may not see
	Address string    `json:"address"` // whose mail he sees; likewise
	Since   time.Time `json:"since"`
}

// Links are a page of them.
type Links struct {
	Links []Link `json:"links"`
	Next  int64  `json:"next,omitempty"` // the cursor of the next page
}
