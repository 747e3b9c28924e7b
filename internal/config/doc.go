// Package config reads Gatepost's two documents, gatepost.toml (bootstrap: what the process needs to start) and
// policy.toml (what the operator wants done with mail), strictly: an unknown key, a wrong type or an impossible value
// is a Problem with file, line, column, key and what to write instead, and all problems of a file are found at once.
//
// Go structs describe the documents, and their tags are the only description: decoding, defaults, "gatepost explain"
// and the commented default documents all come from them. A package that describes options of its own (a check) needs
// no import of this one. The tags:
//
//	toml:"message_size"  the key. A field without it is not in the document; an embedded struct without it is flattened
//	doc:"..."            one or two sentences
//	default:"50M"        the value without the key, written as in the file but without quotes; lists with commas: "a, b"
//	required:"true"      the key must be there
//	unless:"a,b"         ... unless one of these is
//	example:"50M"        a value to show, written like default; without it the default is shown
//	min:"1" max:"1000"   the range of a number, duration or size, each element of a list; of a plain string, its octets
//	enum:"a,b,c"         the only values of a string, or of each string of a list
//	format:"domain"      what a string is; see Formats below
//	unit:"bytes"         of an integer: it is a size ("50M"); any other unit is only shown ("points", "recipients")
//	rfc:"RFC 5321 section 4.5.3.1.4"  where it comes from
//
// Types: string and named strings, bool, all integers, floats, time.Duration ("30s", "5m", "2d"), Size ("256K", "50M")
// or an integer with unit "bytes", netip.Addr, netip.Prefix (a bare address is a network of one), netip.AddrPort, any
// encoding.TextUnmarshaler; slices of these; map[string]V of these; structs (tables), pointers to structs or scalars
// (nil: not written), slices of structs (arrays of tables), and Checks (the sections of the checks, see Section).
//
// Formats: hostname (fully qualified), domain (IDN becomes A-labels, lower case), host (name or address), address
// (host:port or unix:/path), server (IP address, port 53 unless written), path (absolute), fingerprint (SHA-256), header (field name), regexp, word (letters,
// digits, '-', '_', '.'), url (https or http). The empty string means "not set" unless the key is required.
//
// A struct may have the methods
//
//	Fill()                                                 derived defaults, called after its keys are bound
//	Validate(report func(key, message, instead string))    rules over several keys
//	Warn(report func(key, message, instead string))        the same, but what it says does not refuse the document
//
// where key is the path below the struct as the document has it, list elements counted from 0: "next_hop[0].port".
//
// The package never writes a file, never resolves a name, and never connects to anything. It reads TOML 1.1
// (https://toml.io); RFCs are named at the keys they rule.
package config
