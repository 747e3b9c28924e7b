// Package image looks for QR codes in pictures, since a link in a picture is one that no other check sees. It runs in the
// process that opens what mail carries. What it costs is bounded by the size of a picture before any of it is decoded, and by
// the number of patterns that may be corners of a code: pictures are made to be full of them.
//
// Finding codes is done here, reading them by github.com/makiuchi-d/gozxing, whose own search takes cubic time.
//
// ISO/IEC 18004.
package image
