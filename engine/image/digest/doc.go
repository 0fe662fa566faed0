// Package digest names contents by their hashes, as in "sha256:<hexadecimal>".
//
// Everything that deals with images does so with the library of this name,
// which compiles five regular expressions when a program starts. That is some
// percent of what a short command takes. So go.mod puts this package in its
// place. It has what is called of the library, reads digests by hand and does
// nothing at start-up. What it takes and what it says of what it does not take
// are the library's.
//
// The grammar is that of the image specification, see descriptor.md there:
//
//	digest    = algorithm ":" encoded
//	algorithm = small letters and digits, several such joined by ".", "+", "_" or "-"
//	encoded   = letters, digits, "=", "_" and "-"
//
// For sha256, sha384 and sha512 the second part is small hexadecimal digits, as
// many as the hash has; others cannot be computed.
package digest
