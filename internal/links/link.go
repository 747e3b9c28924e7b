// Package links finds the links of a text, of HTML and of other documents, and tells what is odd about them: a text that
// names another host than it leads to, a host that looks like another, an address without a name. It asks nobody anything
// and follows no link.
//
// RFC 3986, 5890 (IDNA), UTS 39 (look-alikes).
package links

// Link is one link, as it was found.
type Link struct {
	URI   string `json:"uri"`            // as it is written, trimmed, without line ends; at most MaxURI octets
	Text  string `json:"text,omitempty"` // what is shown to the reader, white space folded, cut
	Where Where  `json:"where"`
	Part  int    `json:"part"` // the part of the message that holds it: its place in the MIME tree
}

// MaxURI is how long a link may be, in octets; what is longer is cut.
const MaxURI = 4096

// Where is what holds a link.
type Where string

// The places of links.
const (
	InText     Where = "text"
	InAnchor   Where = "a"        // <a>, <area>
	InForm     Where = "form"     // where a form is sent
	InBase     Where = "base"     // what relative links are relative to
	InRefresh  Where = "refresh"  // <meta http-equiv=refresh>, a redirect of a script
	InResource Where = "resource" // an image, a style sheet, a frame, a script
	InDocument Where = "document" // of a PDF or an office document
	InQR       Where = "qr"       // of a code in an image
)
