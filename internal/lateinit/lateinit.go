// Package lateinit runs initialisers that did not run when the program began.
//
// What a package makes before main, every command pays for, and BuildKit's
// frontend comes with more than a hundred packages that make something: two
// milliseconds, where few commands build. So a program may hold the
// initialisers back that nothing but a build needs (see the package held), and
// run them when the first build begins.
//
// Who imports this package promises to call Run before anything of the
// libraries that it imports is used. All initialisers are held that are there
// for such packages alone, which is found out when the list is generated.
package lateinit

import "sync"

var (
	held func()
	once sync.Once
)

// Provide says what runs the initialisers that are held. A program that holds
// some calls it before anything else in main.
func Provide(run func()) { held = run }

// Run runs what is held, once. It returns when that has been done, whoever
// does it. A program that holds nothing has nothing to do.
func Run() {
	once.Do(func() {
		if held != nil {
			held()
		}
	})
}
