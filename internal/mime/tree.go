package mime

// Limits bound a walk. What lies beyond is a Defect (TooMany, TooDeep, TooBig) and is not looked at.
type Limits struct {
	Parts  int   // parts in all
	Depth  int   // of multipart and message/rfc822 in each other
	Header int   // octets of the header section of one part
	Text   int64 // octets of decoded text that are looked at, of all text parts together
	Kept   int64 // octets of them that are kept in memory, besides what lies there in the message; a text that is longer is read again
	Head   int   // octets of the decoded beginning of each leaf that are kept
}

// DefaultLimits are those of the gateway (PRODUCT: 1000 parts, depth 20, header section 256 KiB).
func DefaultLimits() Limits {
	return Limits{Parts: 1000, Depth: 20, Header: 256 << 10, Text: 2 << 20, Kept: 128 << 10, Head: 4 << 10}
}

// Tree is what a message is made of. It reads the message it was made of again in Open, and is good as long as that is.
type Tree struct {
	Parts   []Part   // depth first, the doubtful parts of one behind its others; Parts[0] is the message itself
	Defects []Defect // each kind once of a part

	src   Source
	marks map[int][]mark // of parts that hold others in encoded form: where decoding can be taken up
}

// Part is one part of a message.
type Part struct {
	Parent int    // its place in Tree.Parts; -1 of the message itself
	Depth  int    // 0 of the message itself
	Path   string // as IMAP names it (RFC 3501 section 6.4.5): "1.2"; "" of the message itself; "~" is in that of doubtful parts
	Leaf   bool   // it has content of its own; a multipart and a message/rfc822 have parts

	// Where it lies in the message, in octets: from Start its header section, from Content what is behind the empty line, up
	// to End. The line end in front of a boundary belongs to the boundary (RFC 2046 section 5.1.1). Of a part that lies in the
	// decoded content of another, Within is the place of that one, and octets count from the beginning of that content;
	// otherwise Within is -1.
	Start, Content, End int64
	Within              int

	Type        string            // the media type that it says, lower case: "text/html"; where it says none, what is implied
	Params      map[string]string // of Content-Type, names in lower case, decoded (RFC 2231)
	Encoding    string            // Content-Transfer-Encoding, lower case; "" for none
	Disposition string            // "attachment", "inline", or "" for none
	ContentID   string            // without its angle brackets
	Names       []string          // every name that some client would give it, the one that most would give first; none: nil
	Doubt       bool              // only some clients see it: a second reading, a uuencoded block, what stands before the first boundary

	// Of a leaf, decoded. SHA256 is zero of a text that is shown: it has no name and is no attachment, and its sum would cost
	// each message more than all else. Head may lie in the message itself: nobody may change it, and what is kept of it longer
	// than the message is copied.
	Octets int64
	SHA256 [32]byte
	Head   []byte // the beginning, as Limits.Head allows
	Cut    bool   // Tree.Text is not all of it

	text   []byte           // UTF-8; nil of a text that is read again
	looked int64            // octets of it, before they are UTF-8, that Limits.Text allows
	block  transferEncoding // of a file in a text, which Encoding names too
	stops  bool             // of base64: read up to its first padding
}

// Name is the name that most clients would give the part; "" for none.
func (p *Part) Name() string {
	if len(p.Names) == 0 {
		return ""
	}
	return p.Names[0]
}

// Defect is a place where clients may disagree, or that no client should have to read.
type Defect struct {
	Kind Kind
	Part int    // its place in Tree.Parts
	Text string // what stands there, for people; cleaned, at most 200 octets
}

// Kind is a kind of defect. It is a measure of the check mime, so that policy can price it.
type Kind string

// The kinds of defect.
const (
	TypeRepeated     Kind = "type_repeated"     // several Content-Type fields
	TypeBroken       Kind = "type_broken"       // a Content-Type that cannot be read by RFC 2045
	ParamRepeated    Kind = "param_repeated"    // one parameter twice, with different values
	NameSplit        Kind = "name_split"        // a name that clients put together differently (RFC 2231 beside RFC 2047, continuations out of order)
	EncodingRepeated Kind = "encoding_repeated" // several Content-Transfer-Encoding fields that differ
	EncodingUnknown  Kind = "encoding_unknown"  // one that RFC 2045 has not
	EncodingNested   Kind = "encoding_nested"   // base64 or quoted-printable on a multipart or message
	Base64Broken     Kind = "base64_broken"     // octets that are not of the alphabet, a padding in the middle, a cut end
	QuotedBroken     Kind = "quoted_broken"     // an equals sign before what is no hexadecimal number
	BoundaryMissing  Kind = "boundary_missing"  // a multipart without a boundary
	BoundaryOdd      Kind = "boundary_odd"      // one that RFC 2046 does not allow, or that is the beginning of another
	EndMissing       Kind = "end_missing"       // the last boundary never comes
	PreambleText     Kind = "preamble_text"     // more than a notice before the first boundary or behind the last: it has parts or encoded content of its own
	HeaderBroken     Kind = "header_broken"     // a line among the fields of a part that is no field
	CharsetUnknown   Kind = "charset_unknown"   // a charset that nobody knows
	CharsetOdd       Kind = "charset_odd"       // UTF-7, UTF-16 and others that hide US-ASCII
	WordBroken       Kind = "word_broken"       // an encoded word that cannot be decoded (RFC 2047)
	Partial          Kind = "partial"           // message/partial: a piece of a message
	ExternalBody     Kind = "external_body"     // message/external-body: content that lies elsewhere
	UUEncoded        Kind = "uuencoded"         // a uuencoded, yEnc or BinHex block in a text
	MissingVersion   Kind = "version_missing"   // MIME fields without MIME-Version
	TooMany          Kind = "too_many"
	TooDeep          Kind = "too_deep"
	TooBig           Kind = "too_big"
)

// Kinds returns all kinds of defect.
func Kinds() []Kind {
	return []Kind{TypeRepeated, TypeBroken, ParamRepeated, NameSplit, EncodingRepeated, EncodingUnknown, EncodingNested, Base64Broken,
		QuotedBroken, BoundaryMissing, BoundaryOdd, EndMissing, PreambleText, HeaderBroken, CharsetUnknown, CharsetOdd, WordBroken,
		Partial, ExternalBody, UUEncoded, MissingVersion, TooMany, TooDeep, TooBig}
}
