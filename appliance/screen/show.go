package screen

import (
	"context"
	"os"
	"syscall"
	"time"
)

// Times of Show: how long a terminal may take to be written to, which a serial line with nobody behind it may never; and after how long a
// screen is drawn again although it is the same, since something else may have written there.
const (
	patience = 3 * time.Second
	again    = 5 * time.Minute
)

// Show draws to terminals, by their paths, as often as every asks, and writes what has changed, until ctx is done. A terminal that is not
// there, or does not take what is written, is left out of that round.
func Show(ctx context.Context, terminals []string, every time.Duration, look func(context.Context) State) {
	var before string
	var written time.Time
	for {
		s := look(ctx)
		if text := s.Draw(); ctx.Err() == nil && (text != before || time.Since(written) > again) {
			for _, t := range terminals {
				write(t, text)
			}
			before, written = text, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

func write(terminal, text string) {
	f, err := os.OpenFile(terminal, os.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_ = f.SetWriteDeadline(time.Now().Add(patience)) // what cannot be waited for takes all at once
	_, _ = f.WriteString(text)                       // the next round tries again
}
