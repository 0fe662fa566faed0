// Package lateinit runs initialisers that did not run when the program began.
//
// What a package makes before main, every command pays for, and BuildKit's
// frontend comes with more than a hundred packages that make something: two
// milliseconds, where few commands build. So a program may hold initialisers
// back (see the package held), and run them when what needs them begins.
//
// Who imports this package promises to call Run before anything of the
// libraries that it imports is used. All initialisers are held that are there
// for such packages alone, which is found out when the list is generated.
package lateinit

import (
	"sync"
	"sync/atomic"
)

// Group is what needs initialisers.
type Group uint8

// The groups. A package that promises to call Run does so with one of them.
const (
	Builds     Group = 1 << iota // BuildKit's frontend, and what carries out its graphs
	DNS                          // the name server's messages
	Registries                   // the client of registries
	Zstd                         // the compression
)

var (
	held    func(groups uint8)
	running sync.Mutex
	done    atomic.Uint32 // groups
)

// Provide says what runs those of the initialisers that are held which these
// groups need, each once. A program that holds some calls it before anything
// else in main.
func Provide(run func(groups uint8)) { held = run }

// Run runs what a group needs, once. It returns when that has been done,
// whoever does it. A program that holds nothing has nothing to do.
func Run(g Group) {
	if done.Load()&uint32(g) != 0 {
		return
	}
	running.Lock() // groups have packages in common
	defer running.Unlock()
	if done.Load()&uint32(g) == 0 && held != nil {
		held(uint8(g))
	}
	done.Or(uint32(g))
}
