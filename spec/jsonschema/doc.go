// Package jsonschema checks data against a JSON schema, as far as the schema
// of Compose files needs it.
//
// compose-go checks files with the library of this name, which compiles the
// schemas of all JSON schema drafts when a program starts and the whole schema
// of Compose files, against those, before the first look at a file. Together
// that is longer than everything else that a command does. So go.mod puts this
// package in its place. It has the few functions that compose-go calls, reads
// only those parts of a schema that a file comes to, and does nothing at
// start-up. The words of its errors are the library's.
//
// Known are the keywords that the schema of Compose files uses, with their
// meaning in draft 2020-12. A schema with another keyword is refused where a
// file comes to it, so that nothing is let through unchecked.
package jsonschema
