// Package filetype tells what a file is: by its content, by the type that it claims, and by each extension that a client or
// an operating system would act on. Names are read as Windows reads them, since that is what names are made to deceive; what
// they do to hide an extension is a trick of its own. It reads what it is given and nothing else.
//
// The groups of types that policy names, and what belongs to which, stand in table.go and nowhere else.
package filetype
