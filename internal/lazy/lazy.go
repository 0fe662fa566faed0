// Package lazy makes things when they are first used. What a package makes in
// its variables instead, every start of the program pays for.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp compiles a regular expression when it is first asked for. One that
// does not compile panics then.
func Regexp(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
