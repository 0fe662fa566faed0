// Package mapstructure puts plain data (maps, slices and scalars, as YAML gives
// them) into Go values, as far as compose-go needs it for Compose files.
//
// compose-go does that with the library of this name, which reads the tags of
// all fields of a struct anew for each value that it puts into one, and looks
// for each field in the data. A service has a hundred fields and few of them are
// in a file: that was more than a third of the loading of a project. So go.mod
// puts this package in its place. It has the few functions that compose-go
// calls, reads a struct's tags once, and goes by the keys that are there. The
// words of its errors are the library's.
//
// What is left out is weak typing, the tag options "remain" and "deep", and
// metadata.
package mapstructure
