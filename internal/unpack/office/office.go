// Package office looks into office documents and into the files that start something: OLE2 compound files (Word, Excel,
// PowerPoint, Outlook messages), OOXML, ODF, RTF, OneNote, their flat XML and MIME forms, shortcuts, and texts that Excel
// runs. It tells what would act when somebody opens them (macros, fields, objects, what is fetched from elsewhere), has the
// walk enter what is embedded, and lists links. It renders nothing and evaluates nothing.
//
// [MS-CFB], [MS-OVBA], [MS-XLS], [MS-DOC], [MS-PPT], [MS-OFFCRYPTO], [MS-OLEDS], [MS-SHLLINK], [MS-ONESTORE], [MS-OXMSG],
// ECMA-376, OASIS ODF 1.3, RTF 1.9.1. What is seen of each and what is not: docs/documents.md.
package office

import "gatepost/internal/unpack"

// Formats are the formats of this package. OOXML and ODF are zip files, so they stand before the zip of the archives.
func Formats() []unpack.Format {
	return []unpack.Format{compound{}, openXML{}, openDocument{}, richText{}, oneNote{}, link{}, flat{}, shortcutText{}, sheetText{}}
}
