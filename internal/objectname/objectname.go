// Package objectname knows how containers, networks and volumes may be called, and
// makes their IDs.
package objectname

// Valid says whether a name has letters of ASCII, digits, "_", "." and "-" only,
// a letter or digit first. It is no regular expression, because every start
// would pay for compiling it.
func Valid(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return name != ""
}
