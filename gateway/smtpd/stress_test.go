package smtpd

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// strained is a world with marks that a test can reach: stress from eight connections of ten on, and below six no more.
func strained(w *world) (told func() []Stress) {
	w.snap.Limits.Connections = 10
	w.snap.Limits.Stress = gateway.Stress{ConnectionsOn: 0.8, ConnectionsOff: 0.6, MemoryOn: 0.85, MemoryOff: 0.7, MemoryFull: 0.95,
		CommandTimeout: 30 * time.Second}
	w.snap.Gate = gateway.Gate{StressWait: 0}
	events := make(chan Stress, 100)
	w.srv.OnStress = func(e Stress) { events <- e }
	return func() (out []Stress) {
		synctest.Wait()
		for {
			select {
			case e := <-events:
				out = append(out, e)
			default:
				return out
			}
		}
	}
}

func guest(i int) string { return fmt.Sprintf("198.51.%d.7:1", i) }

// TestStressByConnections: entered at one mark and left at a lower one, told once each; those who wait are hurried.
func TestStressByConnections(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		told := strained(w)
		var all []*client
		for i := range 7 {
			all = append(all, w.dial(guest(i)))
			all[i].heard()
		}
		all[0].say("EHLO client.example")
		all[0].say("MAIL FROM:<a@sender.example>") // in a transaction: it is not hurried
		trusted := w.dial("127.0.0.1:1")
		trusted.heard()
		if e := told(); len(e) != 1 || !e[0].On || e[0].Connections != 8 || e[0].Most != 10 || !w.srv.Stressed() {
			t.Fatalf("at eight of ten: %+v", e)
		}
		more := w.dial(guest(8)) // up and down above the lower mark
		more.heard()
		more.hangUp()
		all[1].hangUp()
		if e := told(); len(e) != 0 {
			t.Fatalf("between the marks: %+v", e)
		}
		time.Sleep(31 * time.Second)
		for i, c := range all[2:] {
			if got := c.heard(); !strings.HasPrefix(got, "421 4.4.2 ") || !c.gone() {
				t.Errorf("idle client %d after 31 s: %q", i+2, got)
			}
		}
		if all[0].gone() || trusted.gone() {
			t.Error("a transaction or a trusted client was hurried")
		}
		if e := told(); len(e) != 1 || e[0].On || e[0].After != 30*time.Second || w.srv.Stressed() {
			t.Errorf("when they are gone: %+v", e)
		}
	})
}

// TestUnderStress: unknown clients wait less, commands have less time, and refusals come in place of the banner.
func TestUnderStress(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		told := strained(w)
		w.snap.Gate = gateway.Gate{Wait: 6 * time.Second, StressWait: 2 * time.Second}
		w.srv.Pressure = func() float64 { return 0.86 }
		w.srv.feelPressure()
		if e := told(); len(e) != 1 || !e[0].On || e[0].Memory != 0.86 {
			t.Fatalf("%+v", e)
		}
		c := w.dial(stranger)
		time.Sleep(2*time.Second - 1)
		if got := c.heard(); got != "" {
			t.Fatalf("too early: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := c.heard(); !strings.HasPrefix(got, "220 ") {
			t.Fatalf("after the short wait: %q", got)
		}
		early := w.dial(guest(1))
		if got := early.say("EHLO early.example"); !strings.HasPrefix(got, "554 5.5.1 Refused: your host sent something") || !early.gone() {
			t.Errorf("an early talker: %q", got)
		}
		time.Sleep(30 * time.Second)
		if got := c.heard(); !strings.HasPrefix(got, "421 4.4.2 ") || !c.gone() {
			t.Errorf("a command after 30 s: %q", got)
		}
		for _, memory := range []float64{0.8, 0.71} {
			w.srv.Pressure = func() float64 { return memory }
			if w.srv.feelPressure(); !w.srv.Stressed() {
				t.Errorf("left at %v", memory)
			}
		}
		w.srv.Pressure = func() float64 { return 0.69 }
		if w.srv.feelPressure(); w.srv.Stressed() {
			t.Error("not left")
		}
		if e := told(); len(e) != 1 || e[0].On {
			t.Errorf("%+v", e)
		}
	})
}

// TestMemoryFull: nobody new is let in, and no message is taken, while mail that is on its way goes on.
func TestMemoryFull(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		strained(w)
		memory := 0.5
		w.srv.Pressure = func() float64 { return memory }
		data, bdat, under := w.dial(guest(1)), w.dial(guest(2)), w.dial(guest(3))
		for _, c := range []*client{data, bdat, under} {
			c.say("EHLO client.example")
			c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		}
		under.say("DATA", "Subject: x")
		memory = 0.96
		w.srv.feelPressure()
		if got := data.say("DATA"); !strings.HasPrefix(got, "452 4.3.1 No room to take a message right now") || data.gone() {
			t.Errorf("DATA: %q", got)
		}
		if got := bdat.say("BDAT 14 LAST", "Subject: x\r\n"); !strings.HasPrefix(got, "452 4.3.1 ") || bdat.gone() {
			t.Errorf("BDAT: %q", got)
		}
		for _, from := range []string{stranger, "127.0.0.1:1"} {
			if c := w.dial(from); !strings.HasPrefix(c.heard(), "421 4.3.2 This host has more to do") || !c.gone() {
				t.Errorf("%s is let in", from)
			}
		}
		if got := under.say("", "."); !strings.HasPrefix(got, "250 2.0.0 ") {
			t.Errorf("a message on its way: %q", got)
		}
		memory = 0.9
		w.srv.feelPressure()
		data.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		if got := data.say("DATA"); !strings.HasPrefix(got, "354 ") {
			t.Errorf("DATA afterwards: %q", got)
		}
		got := strings.Join(w.journal.all(), "\n")
		if strings.Count(got, "early smtp.overloaded") != 2 || strings.Count(got, "outcome=defer reason=smtp.no_storage reply=452") != 2 {
			t.Errorf("journal:\n%s", got)
		}
	})
}

// TestPressureIsAsked: the server asks by itself, and stops with its last session.
func TestPressureIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		asked := 0
		s := &Server{Current: w.srv.Current, Journal: w.journal, IDs: &gateway.IDs{}, Pressure: func() float64 { asked++; return 0 }}
		s.Sessions() // as the first use of it does
		time.Sleep(5*time.Second + 1)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if asked != 5 {
			t.Errorf("asked %d times in five seconds", asked)
		}
	})
}
