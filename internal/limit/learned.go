package limit

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Learned is how much usually comes to each of many subjects: a count that fades, and on how many days it grew. It is for
// limits that no single number fits, such as the bounces to one mailbox: to most there come none, to that of a list
// thousands. It lives in this process, is bounded, and is safe for concurrent use.
//
// What grows fast is not yet usual: a rate counts from the eighth day on that something came, as the mean over the fading
// time. So a flood that goes on for a week does not raise its own limit, and one that goes on for weeks does.
type Learned struct {
	seed maphash.Seed
	most int // of a shard
	all  [learnedShards]learnedShard
}

const (
	learnedShards = 16
	// DefaultSubjects is how many subjects a Learned holds by default, in about 12 MB.
	DefaultSubjects = 1 << 16
	// fading is the time in which a count falls to 1/e.
	fading = 28 * 24 * time.Hour
	// usualDays is on how many days something has to come before it is usual.
	usualDays = 7
	// Times is how much more than the usual may come, and MostLearned the most that may, in units an hour.
	Times       = 10
	MostLearned = 10_000
)

type learnedShard struct {
	mu    sync.Mutex
	index map[string]int
	list  []usual
}

// usual is what is known of one subject.
type usual struct {
	subject string
	count   float64 // as it was at
	at      time.Time
	day     int64 // the last on which it grew, since 1970
	days    int   // on how many it grew before that, within the fading time of each other
}

// NewLearned returns one of at most so many subjects, rounded up to a multiple of 16; 0 is DefaultSubjects.
func NewLearned(subjects int) *Learned {
	if subjects < 1 {
		subjects = DefaultSubjects
	}
	return &Learned{seed: maphash.MakeSeed(), most: (subjects-1)/learnedShards + 1}
}

func (l *Learned) shard(subject string) *learnedShard {
	return &l.all[maphash.String(l.seed, subject)%learnedShards]
}

// Note counts one unit for a subject, which is made to fit by SubjectOf. Where there is no room, of eight at random the one
// goes to which least usually comes.
func (l *Learned) Note(subject string, now time.Time) {
	subject = SubjectOf(subject)
	s := l.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil {
		s.index = make(map[string]int)
	}
	day := now.Unix() / int64(24*time.Hour/time.Second)
	i, known := s.index[subject]
	if !known {
		subject = strings.Clone(subject)
		fresh := usual{subject: subject, at: now, day: day}
		if i = len(s.list); i < l.most {
			s.list = append(s.list, fresh)
		} else {
			i = s.least(now)
			delete(s.index, s.list[i].subject)
			s.list[i] = fresh
		}
		s.index[subject] = i
	}
	u := &s.list[i]
	switch gap := time.Duration(day-u.day) * 24 * time.Hour; {
	case gap > fading:
		u.days, u.day = 0, day // that was long ago
	case gap > 0:
		u.days, u.day = u.days+1, day
	}
	u.count, u.at = u.faded(now)+1, now
}

// least is, of eight at random, where the one lies to which least comes.
func (s *learnedShard) least(now time.Time) int {
	at := rand.IntN(len(s.list))
	for range 7 {
		if i := rand.IntN(len(s.list)); s.list[i].faded(now) < s.list[at].faded(now) {
			at = i
		}
	}
	return at
}

func (u *usual) faded(now time.Time) float64 {
	return u.count * math.Exp(-max(now.Sub(u.at), 0).Seconds()/fading.Seconds())
}

// Rate is how fast it may come to a subject by what was learned: Times what usually comes in an hour, at most MostLearned. It
// is none where nothing is usual.
func (l *Learned) Rate(subject string, now time.Time) Rate {
	subject = SubjectOf(subject)
	s := l.shard(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, known := s.index[subject]
	if !known || s.list[i].days < usualDays {
		return Rate{}
	}
	hourly := s.list[i].faded(now) / fading.Hours()
	return Per(int64(min(Times*hourly, MostLearned)), time.Hour)
}

// Len returns of how many subjects something is known.
func (l *Learned) Len() int {
	n := 0
	for i := range l.all {
		l.all[i].mu.Lock()
		n += len(l.all[i].list)
		l.all[i].mu.Unlock()
	}
	return n
}
