// Package unpack opens what a message carries: archives, office documents, PDF, images, TNEF, reports. All of that is
// hostile until shown otherwise, so that it is done in a process of its own, without network, files and rights, within
// limits of memory and time: see Client and Serve. What the process cannot tell is unknown, and its end is no fault of the
// gateway's.
//
// This package has the words, the walk and its budget. Each format lies in a package below it, and cmd names them all.
// Nothing here writes a file, ever: a name in an archive is a text and never a path.
package unpack
