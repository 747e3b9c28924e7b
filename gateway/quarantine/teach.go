package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gatepost/gateway"
)

// Teacher has engines learn what is spam and what is not. It is safe for concurrent use.
type Teacher interface {
	// Learns reports whether policy wants anything to be learned now.
	Learns() bool
	// Teach tells of a message of size octets that it is spam, or is not; what it returns is shown to people. ErrUnfit says that
	// the message is nothing to learn from, which is no fault of the engines.
	Teach(ctx context.Context, spam bool, m io.Reader, size int64) (told string, err error)
}

// ErrUnfit says that engines must not learn from a message.
var ErrUnfit = errors.New("nothing to learn from")

// Bounds of what is learned.
const (
	lessonsAtMost = 200             // that wait
	lessonTime    = 2 * time.Minute // for one, all engines together
	faultsInRow   = 3               // after which nobody is asked for restAfter
	restAfter     = time.Minute
	noteEvery     = 200 * time.Millisecond // how often the state is tried while somebody else is at work on the message
	noteTries     = 300
)

// Lesson is what engines were told of a message.
type Lesson struct {
	As   string    `json:"as"` // spam or ham
	Done bool      `json:"done,omitempty"`
	At   time.Time `json:"at,omitzero"`
	Said string    `json:"said"` // what they said, or why they were not told
}

// lesson is one that waits.
type lesson struct {
	id   gateway.ID
	spam bool
}

func wordOf(spam bool) string {
	if spam {
		return "spam"
	}
	return "ham"
}

// teach puts a message on the list of those that the engines are to learn from, and says in words whether it stands there. It
// never waits. A message is taught once, and once more where a person changes his mind.
func (v *Vault) teach(m *message, spam bool) string {
	l := m.state.Lesson
	switch {
	case v.opts.Teacher == nil || !v.opts.Teacher.Learns():
		return "noted"
	case m.Class == Malware:
		return "noted; engines do not learn from malware"
	case l != nil && l.Done && l.As == wordOf(spam):
		return "noted; it was learned before"
	}
	select {
	case v.lessons <- lesson{m.id(), spam}:
		return "noted; the engines will be told"
	default:
		v.told(m.id(), m.From.Text, m.Class, &Lesson{As: wordOf(spam), Said: "too many messages wait to be learned"})
		return "noted, and not learned: too many messages wait for that; report it again later"
	}
}

// told counts a lesson, and passes it on.
func (v *Vault) told(id gateway.ID, from string, class Class, l *Lesson) {
	c := &Change{What: Learned, ID: id, From: from, Class: class, Said: l.As + "; " + l.Said}
	if !l.Done {
		c.What = Unlearned
		v.log.Warn("quarantine: engines did not learn from a message", "id", id.String(), "as", l.As, "why", l.Said)
	}
	v.tell(c)
}

// Learn teaches what waits, one message at a time, until ctx is done. What still waits then is not learned: its person was told
// that it is noted, and show says that nothing was learned.
func (v *Vault) Learn(ctx context.Context) {
	faults, rest := 0, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-v.lessons:
			if time.Now().Before(rest) {
				v.learned(ctx, l, "", fmt.Errorf("the engines failed %d times in a row and rest until %s", faults, rest.UTC().Format(time.TimeOnly)))
				continue
			}
			said, err := v.lesson(ctx, l)
			switch {
			case err == nil || errors.Is(err, ErrUnfit) || errors.Is(err, ErrNone):
				faults = 0
			case ctx.Err() == nil:
				if faults++; faults >= faultsInRow {
					rest = time.Now().Add(restAfter)
				}
			}
			v.learned(ctx, l, said, err)
		}
	}
}

// lesson tells the engines of one message. Nobody is kept from working on it meanwhile.
func (v *Vault) lesson(ctx context.Context, l lesson) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lessonTime)
	defer cancel()
	m, err := v.message(ctx, l.id, true)
	if err != nil {
		return "", err
	}
	defer m.Close()
	if !v.opts.Teacher.Learns() {
		return "", fmt.Errorf("%w: policy no longer wants it", ErrUnfit)
	}
	if before := m.state.Lesson; before != nil && before.Done && before.As == wordOf(l.spam) {
		return before.Said, nil
	}
	body, err := m.body()
	if err != nil {
		return "", err
	}
	defer body.Close()
	return v.opts.Teacher.Teach(ctx, l.spam, body, m.Size)
}

// learned notes how a lesson ended, for whoever looks at the message.
func (v *Vault) learned(ctx context.Context, l lesson, said string, fault error) {
	note := &Lesson{As: wordOf(l.spam), Done: fault == nil, At: time.Now().UTC().Round(0), Said: limit(gateway.CleanText(said, 300), 300)}
	if fault != nil {
		note.Said = limit(gateway.CleanText(fault.Error(), 300), 300)
	}
	for range noteTries {
		from, class, err := v.note(l.id, note)
		if errors.Is(err, ErrBusy) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(noteEvery):
				continue
			}
		}
		if err != nil && !errors.Is(err, ErrNone) {
			v.log.Warn("quarantine: what was learned could not be noted", "id", l.id.String(), "error", err)
		}
		v.told(l.id, from, class, note)
		return
	}
	v.log.Warn("quarantine: what was learned could not be noted", "id", l.id.String(), "error", ErrBusy)
	v.told(l.id, "", Spam, note)
}

// note writes a lesson into the state of a message. People who come in these moments wait for it (lease).
func (v *Vault) note(id gateway.ID, l *Lesson) (from string, class Class, err error) {
	v.noting.Lock()
	defer v.noting.Unlock()
	free, err := v.tryLease(id)
	if err != nil {
		return "", 0, err
	}
	defer free()
	m, err := v.message(context.Background(), id, false)
	if err != nil {
		return "", 0, err
	}
	defer m.Close()
	m.state.Lesson = l
	return m.From.Text, m.Class, m.save("learned")
}
