package unpack

import "encoding/json"

// Item is one thing to open: a part of a message, decoded.
type Item struct {
	Part int    `json:"part"`           // its place in the MIME tree
	Name string `json:"name,omitempty"` // as most clients would name it
	Type string `json:"type,omitempty"` // the media type that it says
	Size int64  `json:"size"`           // octets that follow
}

// Report is what was found in all items of a message.
type Report struct {
	Objects []Object `json:"objects,omitempty"` // depth first; an item comes before what is in it
	// Limit says that not all was opened, and which limit was in the way: "" where all was.
	Limit Limit  `json:"limit,omitempty"`
	At    string `json:"at,omitempty"` // where: the path of the object
}

// Object is one thing that was looked at: an item, or what is in one.
type Object struct {
	Parent int      `json:"parent"` // its place in Report.Objects; -1 of an item
	Part   int      `json:"part"`   // the part of the message that holds it
	Depth  int      `json:"depth"`  // 0 of an item
	Name   string   `json:"name,omitempty"`
	Names  []string `json:"names,omitempty"`  // others by which some reader shows it, each once
	Type   string   `json:"type,omitempty"`   // media type, by content: "application/zip"
	Format string   `json:"format,omitempty"` // the Format that opened it; "" for none
	Size   int64    `json:"size"`             // octets, unpacked; -1 where that is not known
	Packed int64    `json:"packed,omitempty"` // octets in the archive; 0 where that is not known
	SHA256 string   `json:"sha256,omitempty"` // in hexadecimal; "" where it was not unpacked whole
	Folder bool     `json:"folder,omitempty"`
	Shown  int64    `json:"shown,omitempty"` // octets of its content that follow the report, for other scanners
	Signs  []Sign   `json:"signs,omitempty"`
	Links  []Link   `json:"links,omitempty"`
	// Data is what a Format read of a document whose content is wanted: a report that others sent us.
	Data json.RawMessage `json:"data,omitempty"`
}

// Link is a link that a document or an image holds.
type Link struct {
	URI   string `json:"uri"`
	Text  string `json:"text,omitempty"`
	Where string `json:"where"` // as internal/links names it: "document", "a", "form", "qr"
}

// Sign is something that was seen in an object, for policy to decide about.
type Sign struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text,omitempty"` // evidence for people: a name, a call, a path; cleaned, at most 200 octets
}

// Kind is a kind of sign.
type Kind string

// The kinds of sign.
const (
	Encrypted     Kind = "encrypted"      // cannot be read without a password; Text says of what: "entries", "names", "document"
	OwnerPassword Kind = "owner_password" // opens without a password, and forbids printing or changes (PDF)
	OpenPassword  Kind = "open_password"  // opens with a password that everybody knows (VelvetSweatshop)
	Broken        Kind = "broken"         // cannot be read as what it is
	PathTrick     Kind = "path_trick"     // the name of an entry leaves its folder, is absolute, or holds NUL or a control character
	NameTwice     Kind = "name_twice"     // two entries of one name, or names of the two places of an archive that differ
	Unread        Kind = "unread"         // too big to be looked into: its size and digest alone are known
	Trailing      Kind = "trailing"       // another file behind or before it: a polyglot
	Macro         Kind = "macro"          // an office document with macros
	AutoExec      Kind = "autoexec"       // a macro that runs when the document is opened or closed
	MacroSuspect  Kind = "macro_suspect"  // a macro that runs programs, fetches or writes files, or is disguised
	RemoteContent Kind = "remote_content" // a template, a frame or an object that is fetched from elsewhere
	DDE           Kind = "dde"            // a field that runs a program
	Embedded      Kind = "embedded"       // a file or an OLE object in a document
	Equation      Kind = "equation"       // an object of the equation editor and others that are known for their holes
	Script        Kind = "script"         // JavaScript in PDF, script in HTML or SVG
	Launch        Kind = "launch"         // a PDF that starts a program, opens a link by itself or submits a form
	Form          Kind = "form"           // a form in HTML that asks for a password or is sent elsewhere
	Smuggling     Kind = "smuggling"      // HTML that puts a file together by itself
	Unseen        Kind = "unseen"         // what was not looked into and is no danger by itself: a picture of too many points, or one that cannot be read
	Unshown       Kind = "unshown"        // other scanners may not open what it lies in, and it is too big to be shown to them
	Shortcut      Kind = "shortcut"       // a .lnk, .url or the like; Text is what it runs
)

// Limit is why not all was opened.
type Limit string

// The limits.
const (
	TooManyEntries Limit = "entries"
	TooDeep        Limit = "depth"
	TooMuch        Limit = "octets"
	TooDense       Limit = "ratio" // unpacks to so much more than it is that it is made to
	TooLong        Limit = "time"
	TooBig         Limit = "memory" // needs more memory than there is
)

// AllLimits are all of them.
func AllLimits() []Limit {
	return []Limit{TooManyEntries, TooDeep, TooMuch, TooDense, TooLong, TooBig}
}
