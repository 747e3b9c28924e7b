package api

import (
	"time"

	"gatepost/internal/alarm"
)

// Weekly is the report of a week at one node.
type Weekly struct {
	Node     string          `json:"node"`
	Since    time.Time       `json:"since"`
	Until    time.Time       `json:"until"`
	Mail     *Summary        `json:"mail,omitempty"` // nil: the message log could not be read
	Released int             `json:"released"`       // from quarantine
	Latest   []WeeklyRelease `json:"latest"`         // the newest of them
	Alarms   []alarm.Alarm   `json:"alarms"`         // that stand, or began or ended in the week
	Bypasses []Bypass        `json:"bypasses"`       // that are in force
	Expiring []WeeklyExpiry  `json:"expiring"`       // certificates, entries and rules that soon count no more, the next first
	Trouble  []string        `json:"trouble"`        // what is not known
}

// WeeklyRelease is a message that somebody let go.
type WeeklyRelease struct {
	Time      time.Time `json:"time"`
	Reference string    `json:"reference"`
	From      string    `json:"from"`
	Rcpts     []string  `json:"rcpts"`
	By        string    `json:"by,omitempty"`
}

// WeeklyExpiry is something that soon counts no more.
type WeeklyExpiry struct {
	What string    `json:"what"`
	Last time.Time `json:"last"`
}

// WeeklyText is the report as it is mailed.
type WeeklyText struct {
	Report *Weekly  `json:"report"`
	Text   string   `json:"text"`
	To     []string `json:"to"`   // who gets it; none: nobody
	Next   string   `json:"next"` // when it is sent; "" for never
}

// WeeklySent is what came of sending it.
type WeeklySent struct {
	To   []string `json:"to"`
	Said string   `json:"said"` // by the smarthost
}
