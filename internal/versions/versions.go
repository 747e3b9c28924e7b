package versions

import (
	"context"
	"errors"
	"time"
)

// Kind is how a version came to be.
type Kind string

// The kinds.
const (
	Publish  Kind = "publish"  // somebody wrote it
	Takeover Kind = "takeover" // what was in force when the first was published: policy.toml
	Rollback Kind = "rollback" // somebody went back to an earlier one
	Undo     Kind = "undo"     // nobody confirmed, or hardly any mail was accepted
)

// Version is one state of the policy that was published. It never changes.
type Version struct {
	Number  int64     `json:"number"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Comment string    `json:"comment,omitempty"`
	Kind    Kind      `json:"kind"`
	Of      int64     `json:"of,omitempty"`    // the version whose text it has again; 0: its own
	Undid   int64     `json:"undid,omitempty"` // the version that it was made to leave; 0: none
	Digest  string    `json:"policy"`          // config.Version of the text, as traces and the journal name a policy
	Text    []byte    `json:"-"`               // nil in lists
}

// Head says which version is in force everywhere. The zero Head says that none was published.
type Head struct {
	Number  int64
	Epoch   int64     // grows with each change, of what it says of confirming too
	Confirm time.Time // until when somebody must confirm the version; zero: nobody must
	Back    int64     // the version that comes back where it has to; 0: none does
}

// Change is one change of the store, all of it or nothing.
type Change struct {
	Expect  Head      // the head as whoever changes it knows it
	New     []Version // that are added, their numbers ascending and above that of Expect; the last one is the next head. None: the head keeps its number
	Confirm time.Time // of the next head
	Back    int64     // of the next head
}

// Draft is what somebody has changed and not published.
type Draft struct {
	Owner string    // its user
	Base  int64     // the version that was in force when it was begun; 0: policy.toml
	Seq   int64     // grows with each save
	Time  time.Time // of the last one
	Text  []byte
}

// Errors of a Store that callers tell apart. All others mean that it cannot be used now.
var (
	ErrNone  = errors.New("versions: there is none")
	ErrMoved = errors.New("versions: somebody else changed it meanwhile")
)

// Store keeps versions, for all nodes. internal/store/admin is one.
type Store interface {
	// Head returns which version is in force.
	Head(ctx context.Context) (Head, error)
	// Change does a Change and returns the next head. ErrMoved: the head is not as expected, and nothing was changed.
	Change(ctx context.Context, c Change) (Head, error)
	// Version returns a version with its text, or ErrNone.
	Version(ctx context.Context, number int64) (*Version, error)
	// List returns versions with lower numbers than before (0: all), the newest first, without their texts.
	List(ctx context.Context, before int64, limit int) ([]Version, error)
	// Watch tells when the head may have changed, by this node or another.
	Watch(ctx context.Context) <-chan struct{}

	// Draft returns the draft of a user, or ErrNone.
	Draft(ctx context.Context, owner string) (*Draft, error)
	// SaveDraft keeps a draft in place of the one with the same owner, whose Seq must be that of d (0: there is none), else
	// ErrMoved. It returns the next Seq.
	SaveDraft(ctx context.Context, d *Draft) (int64, error)
	// DropDraft forgets a draft. One that is not there is no error.
	DropDraft(ctx context.Context, owner string) error
}
