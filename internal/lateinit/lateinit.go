// Package lateinit runs initialisers that did not run when the program began.
//
// What a package makes before main, every command pays for, and BuildKit's
// frontend comes with more than a hundred packages that make something: two
// milliseconds, where few commands build. So a program may hold initialisers
// back (see the package held), and run them when what needs them begins.
//
// Who calls Run promises to do so before anything of the libraries that it
// imports is used. A few libraries are closed, of which nobody uses anything before
// Open or Run. All initialisers are held that are there for such packages and
// libraries alone, which is found out when the list is generated.
package lateinit

import (
	"sync"
	"sync/atomic"
)

// Group is what needs initialisers.
type Group uint8

// The groups. A package that calls Run does so with one of them.
const (
	Builds      Group = 1 << iota // BuildKit's frontend, and what carries out its graphs
	Compression                   // of layers
	DNS                           // the name server's messages
	Files                         // Compose files, and YAML
	Platforms                     // what images are for
	Registries                    // the client of registries
)

var (
	held    func(groups uint8)
	running sync.Mutex
	done    atomic.Uint32 // groups
)

// Provide says what runs those of the initialisers that are held which these
// groups need, each once. A program that holds some calls it when the package main
// initialises, which comes last.
func Provide(run func(groups uint8)) { held = run }

// Open runs what a closed library needs, as Run does. Who calls it promises
// nothing about other libraries.
func Open(g Group) { Run(g) }

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
