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
	// Teach tells of a message of size octets that it is spam, or is not, to all engines but those that know it. It returns the
	// names of those that know it now, also where others failed, and words for people. ErrUnfit says that the message is
	// nothing to learn from, which is no fault of the engines, and will not change.
	Teach(ctx context.Context, spam bool, m io.Reader, size int64, know []string) (knowing []string, told string, err error)
}

// ErrUnfit says that engines must not learn from a message.
var ErrUnfit = errors.New("nothing to learn from")

// Bounds of what is learned.
const (
	lessonsAtMost = 10_000          // that wait
	lessonTime    = 2 * time.Minute // for one, all engines together
	lessonAge     = 48 * time.Hour  // after which it is given up
	firstPause    = 2 * time.Second // until one that failed is tried again; then doubled
	pauseAtMost   = time.Hour
	faultsInRow   = 3 // lessons from which nobody learned anything, after which all of them rest
	restAtMost    = 15 * time.Minute
	noteEvery     = 200 * time.Millisecond // how often the state is tried while somebody else is at work on the message
)

// Lesson is what engines are told of a message.
type Lesson struct {
	As    string    `json:"as"`             // spam or ham
	Done  bool      `json:"done,omitempty"` // all know it
	Due   bool      `json:"due,omitempty"`  // it waits, for the first time or to be tried again
	Since time.Time `json:"since,omitzero"` // when it was wanted
	At    time.Time `json:"at,omitzero"`    // of the last attempt
	Tries int       `json:"tries,omitempty"`
	Know  []string  `json:"know,omitempty"` // engines that know it
	Said  string    `json:"said"`           // what they said, or why they were not told
}

func wordOf(spam bool) string {
	if spam {
		return "spam"
	}
	return "ham"
}

// want notes in the state of a message that engines are to learn from it, and says in words whether they will. Who calls it
// saves the state, and then calls wanted. A message is taught once, and once more where a person changes his mind.
func (m *message) want(spam bool) string {
	v, as := m.v, wordOf(spam)
	before := m.state.Lesson
	if before == nil || before.As != as {
		before = new(Lesson)
	}
	l := &Lesson{As: as, Due: true, Since: time.Now().UTC().Round(0), Know: before.Know, Said: "it waits"}
	switch {
	case v.opts.Teacher == nil || !v.opts.Teacher.Learns():
		return "noted; policy has no engine learn from it"
	case m.Class == Malware:
		return "noted; engines do not learn from malware"
	case before.Done:
		return "noted; it was learned before"
	case v.lessons.count() >= lessonsAtMost:
		l.Due, l.Said = false, "too many messages wait to be learned"
		m.state.Lesson = l
		v.told(m.id(), m.From.Text, m.Class, l)
		return "noted, and not learned: too many messages wait for that; report it again later"
	}
	m.state.Lesson = l
	return "noted; the engines will be told"
}

// wantHam has engines learn from a release: who has his copy let go says that it is no spam, unless somebody said what it is.
func (m *message) wantHam(out *outward) {
	if out.Ham && m.Class == Spam && m.state.Reported == "" {
		m.want(false)
	}
}

// wanted puts a message whose state says so on the list of those that wait.
func (m *message) wanted() {
	if l := m.state.Lesson; l != nil && l.Due {
		m.v.lessons.add(m.id(), time.Now())
	}
}

// told counts a lesson that is over, and passes it on.
func (v *Vault) told(id gateway.ID, from string, class Class, l *Lesson) {
	c := &Change{What: Learned, ID: id, From: from, Class: class, Said: l.As + "; " + l.Said}
	if !l.Done {
		c.What = Unlearned
		v.log.Warn("quarantine: engines did not learn from a message", "id", id.String(), "as", l.As, "why", l.Said)
	}
	v.tell(c)
}

// Learn teaches what waits, one message at a time, until ctx is done. What waits then waits in the state of its message.
func (v *Vault) Learn(ctx context.Context) {
	var e ease
	for ctx.Err() == nil {
		id, at := v.lessons.first()
		if at.Before(e.until) {
			at = e.until
		}
		if pause := time.Until(at); id == 0 || pause > 0 {
			if id == 0 {
				pause = time.Hour // or until the bell rings
			}
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
			case <-v.lessons.bell:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		v.lessons.give(id)
		moved, err := v.lesson(ctx, id)
		v.lessons.give(0)
		switch {
		case ctx.Err() != nil:
		case moved:
			if e.faults >= faultsInRow {
				v.log.Info("quarantine: engines learn again")
			}
			e = ease{}
		case err != nil && e.failed(time.Now()):
			v.log.Warn("quarantine: engines do not learn now; lessons wait", "lessons", v.lessons.count(), "error", err)
		}
	}
}

// lesson tells the engines of one message. moved says that somebody learned something, err that the engines failed: a message
// that is no longer there, or is nothing to learn from, is neither.
func (v *Vault) lesson(ctx context.Context, id gateway.ID) (moved bool, fault error) {
	l, knowing, said, err := v.give(ctx, id)
	if l == nil {
		switch {
		case ctx.Err() != nil:
		case err == nil:
			v.lessons.remove(id) // a person no longer wants it, or it was erased, which was told
		case Damaged(err) || errors.Is(err, ErrNoKey):
			v.lessons.remove(id)
			v.told(id, "", Spam, &Lesson{As: "unknown", Said: gateway.CleanText(err.Error(), 300)})
		default:
			v.lessons.add(id, time.Now().Add(pauseAtMost)) // the disk may let it be read another time
		}
		return false, nil
	}
	if ctx.Err() != nil && err != nil {
		return false, nil // the next start tries it again
	}
	moved = err == nil || len(knowing) > len(l.Know)
	if !errors.Is(err, ErrUnfit) {
		fault = err
	}
	v.learned(ctx, id, l.after(knowing, said, err))
	return moved, fault
}

// after is a lesson after an attempt.
func (l Lesson) after(knowing []string, said string, err error) *Lesson {
	l.Tries, l.At, l.Know = l.Tries+1, time.Now().UTC().Round(0), union(l.Know, knowing)
	switch {
	case err == nil:
		l.Due, l.Done = false, true
	case errors.Is(err, ErrUnfit):
		l.Due, said = false, err.Error()
	case l.At.Sub(l.Since) >= lessonAge:
		l.Due, said = false, fmt.Sprintf("given up after %d attempts: %v", l.Tries, err)
	default:
		said = err.Error()
	}
	l.Said = limit(gateway.CleanText(said, 300), 300)
	return &l
}

// give tells the engines of one message, and returns the lesson as it was; nil: there is none to give. Nobody is kept from
// working on the message meanwhile.
func (v *Vault) give(ctx context.Context, id gateway.ID) (l *Lesson, knowing []string, said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lessonTime)
	defer cancel()
	m, err := v.message(ctx, id, true)
	if errors.Is(err, ErrNone) {
		return nil, nil, "", nil
	}
	if err != nil {
		return nil, nil, "", err
	}
	defer m.Close()
	if l = m.state.Lesson; l == nil || !l.Due {
		return nil, nil, "", nil
	}
	spam := l.As == wordOf(true)
	switch {
	case v.opts.Teacher == nil || !v.opts.Teacher.Learns():
		return l, nil, "", fmt.Errorf("%w: policy no longer wants it", ErrUnfit)
	case !spam:
		// What nobody knew to be malware when its person spoke may be known now.
		if err := m.scan(ctx, &Release{}); errors.Is(err, ErrInfected) {
			return l, nil, "", fmt.Errorf("%w: %w", ErrUnfit, err)
		} else if err != nil {
			return l, nil, "", err
		}
	}
	body, err := m.body()
	if err != nil {
		return l, nil, "", err
	}
	defer body.Close()
	knowing, said, err = v.opts.Teacher.Teach(ctx, spam, body, m.Size, l.Know)
	return l, knowing, said, err
}

// learned notes how an attempt ended, for whoever looks at the message, and for the next start.
func (v *Vault) learned(ctx context.Context, id gateway.ID, l *Lesson) {
	for {
		from, class, err := v.note(id, l)
		if errors.Is(err, ErrBusy) {
			select {
			case <-ctx.Done():
				return // it is tried again, and who knows it says so
			case <-time.After(noteEvery):
				continue
			}
		}
		switch {
		case errors.Is(err, errOtherwise):
			return
		case errors.Is(err, ErrNone):
			v.lessons.remove(id)
			if l.Due {
				l.Due, l.Said = false, "the message was erased before; the last attempt: "+l.Said
			}
		case err != nil:
			v.log.Warn("quarantine: what was learned could not be noted", "id", id.String(), "error", err)
		}
		if !l.Due {
			v.told(id, from, class, l)
		}
		return
	}
}

// errOtherwise says that a person wants a message to be learned as something else meanwhile.
var errOtherwise = errors.New("a person changed his mind")

// note writes a lesson into the state of a message, and takes the message off the list, or to its next place there. People who
// come in these moments wait for it (lease).
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
	if now := m.state.Lesson; now == nil || now.As != l.As {
		return "", 0, errOtherwise
	}
	if l.Due {
		v.lessons.add(id, time.Now().Add(growing(l.Tries-1, pauseAtMost)))
	} else {
		v.lessons.remove(id)
	}
	m.state.Lesson = l
	return m.From.Text, m.Class, m.save("learned")
}
