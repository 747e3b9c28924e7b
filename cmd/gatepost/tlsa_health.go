package main

import (
	"fmt"

	"gatepost/gateway/journal"
	"gatepost/tls/dane"
)

// tlsaHealth tells whether mail of senders that verify us by DANE arrives.
func (d *daemon) tlsaHealth() (bool, string) {
	published := 0
	for _, r := range d.tlsaReports() {
		if r.State.Alarming() {
			return false, r.Host + ": " + tlsaAlarm(r.State) + "; gatepost tls tlsa shows the lines"
		}
		if len(r.Published) > 0 {
			published++
		}
	}
	if published == 0 {
		return true, "none is published"
	}
	return true, fmt.Sprintf("of %d hosts published, and what they show matches", published)
}

// tlsaAlarm is what an alarming state means.
func tlsaAlarm(s dane.State) string {
	switch s {
	case dane.BogusZone:
		return "its TLSA records are bogus: senders that look for them defer all mail to it"
	case dane.Partly:
		return "its TLSA records match one of the certificates that it shows and not another: senders that verify and are shown the other one send nothing"
	}
	return "its TLSA records match nothing that it shows: senders that verify send nothing, and their mail is lost when they give up"
}

// tlsaInstruments shows how our hosts stand.
func (d *daemon) tlsaInstruments(m *journal.Metrics) {
	d.journal.Health().Watch("tlsa", d.tlsaHealth)
	m.Gauges("tlsa_state", "1 for how the TLSA records of each of our hosts stand to what it shows.", []string{"host", "state"}, func() (out []journal.Series) {
		for _, r := range d.tlsaReports() {
			out = append(out, journal.Series{Labels: []string{r.Host, string(r.State)}, Value: 1})
		}
		return out
	})
	m.Gauge("tlsa_keys_waiting", "Keys that are held back until their TLSA record has been seen for two TTLs.", func() float64 {
		d.tlsa.mu.Lock()
		defer d.tlsa.mu.Unlock()
		return float64(len(d.tlsa.waiting))
	})
}
