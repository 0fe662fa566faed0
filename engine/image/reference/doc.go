// Package reference reads the names of images.
//
// BuildKit's frontend, compose-go and our own image store read them with the
// library of this name, which compiles a dozen regular expressions when a
// program starts. That is as long as a tenth of what a short command takes. So
// go.mod puts this package in its place. It has what is called of the library,
// reads names by hand and does nothing at start-up. What it takes, makes of it
// and says of what it does not take are the library's.
//
// The grammar is that of the library's documentation, all of it in ASCII:
//
//	reference = name [":" tag] ["@" digest]
//	name      = [domain "/"] path
//	domain    = (label {"." label} | "[" {hexadecimal digit or ":"} "]") [":" {digit}]
//	label     = letters, digits and "-", which neither begins nor ends it
//	path      = component {"/" component}, of at most 255 bytes
//	component = small letters and digits, with ".", "_", "__" or any number of "-" between them
//	tag       = letters, digits, "_", "." and "-", at most 128, not beginning with "." or "-"
//	digest    = algorithm ":" 32 or more hexadecimal digits
//	algorithm = a letter, then letters and digits, several such joined by "-", "_", "+" or "."
//
// A first component that is a domain, and has a path behind it, is the domain.
package reference
