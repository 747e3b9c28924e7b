package unpack

import "io"

// Format opens one kind of content. It runs in the process of Serve only, keeps nothing between two objects, reads no more
// than it needs, and asks Walk before it does what costs: a list of entries, octets, a level.
type Format interface {
	// Name is the name of the format, as Object.Format tells it: "zip", "ole".
	Name() string
	// Match reports whether the content is of the format. head is its beginning (at most HeadSize octets), and c all of it.
	Match(head []byte, c Content) bool
	// Open looks at the content of an object, adds signs and links to it, and has Walk.Enter look at what is in it. An error
	// says that it cannot be read as what it is: it becomes the sign Broken, and what was found before stays.
	Open(w *Walk, at int, c Content) error
}

// Behind is a Format of content that may lie behind or within content of another format, as a ZIP does behind a picture or
// a program. It is asked although another format opened the content, so that the second face of a file is seen too.
type Behind interface {
	Format
	Behind()
}

// HeadSize is how much of a content Match is shown, in octets.
const HeadSize = 4096

// Content is the content of an object, whole and in memory.
type Content interface {
	io.ReaderAt
	Size() int64
	// Bytes returns all of it where it lies. Nobody may change it.
	Bytes() []byte
}

// Entry is what an archive says of something in it.
type Entry struct {
	Name   string   // as it stands there, decoded to UTF-8 where its charset is known; never a path of ours
	Packed int64    // octets it takes in the archive; 0: not known
	Size   int64    // octets it claims to have; -1: not known. Nobody relies on it
	Names  []string // others that some reader shows instead; those that are "" or there already do not count
	Folder bool
	Signs  []Sign // Encrypted and others
}

// Limits bound what is done for one message.
type Limits struct {
	Entries   int   `json:"entries"`        // objects in all
	Depth     int   `json:"depth"`          // of containers in each other
	Octets    int64 `json:"octets"`         // unpacked, in all
	Object    int64 `json:"object"`         // unpacked, of one object that is looked into
	Held      int64 `json:"held"`           // octets that lie in memory at once, of objects in each other; 0: no limit but the others
	Ratio     int64 `json:"ratio"`          // unpacked to packed; 0: no limit but the others
	Show      int64 `json:"show,omitempty"` // octets of what other scanners should see that are sent back; 0: none
	RatioFrom int64 `json:"ratio_from"`     // octets from which the ratio counts
}
