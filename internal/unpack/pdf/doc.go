// Package pdf looks into PDF files: scripts, actions that run by themselves or start something, files that are embedded, links,
// and whether the file opens without a password. It renders nothing, runs nothing, and decodes no picture.
//
// ISO 32000-1 and -2. It reads as viewers do who mend broken files: objects are found by scanning, wherever they lie and whatever
// the cross reference says, so that what a viewer may find by any way is seen. What is seen and what is not: docs/documents.md.
package pdf

import "gatepost/internal/unpack"

// Formats are the formats of this package.
func Formats() []unpack.Format { return []unpack.Format{format{}} }
