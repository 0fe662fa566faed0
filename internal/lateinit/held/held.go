//go:build go1.26 && !go1.27

// Package held holds back initialisers of libraries that few commands need, in
// a program that imports it, until Run. It is for cmd/compose alone: the
// list is made for that program.
//
// How Go initialises packages is no part of the language. As of Go 1.26 the
// compiler makes a symbol "<import path>..inittask" for each package, with a
// state and the functions to run (cmd/compile/internal/pkginit); the linker
// orders them, by import path as soon as their own imports are done
// (cmd/link/internal/ld/inittask.go); the runtime goes through them and leaves
// out those that are done (doInit1 in runtime/proc.go). This package imports
// nothing, so its turn comes before all others', and says of those in the list
// that they are done. With another version of Go nothing is held until somebody
// has looked whether this still holds and moves the build constraint;
// TestLateInit in e2e shows it.
package held

import "unsafe"

//go:generate go run ./generate tasks.go

// task is the beginning of a package's inittask. As many pointers to functions
// follow as it says.
type task struct{ state, functions uint32 }

// States of a task.
const (
	waiting = 0
	done    = 2
)

func init() { hold(tasks[:]) }

// hold takes the tasks for done that wait, and forgets the others: they have
// run, or there is nothing to run.
func hold(tasks []*task) {
	for i, t := range tasks {
		if t.state != waiting || t.functions == 0 {
			tasks[i] = nil
			continue
		}
		t.state = done
	}
}

// Run runs those that these groups need and that it has not run yet. Only one
// may run at a time.
func Run(needed uint8) { run(tasks[:], groups[:], needed) }

func run(tasks []*task, groups []uint8, needed uint8) {
	for i, t := range tasks {
		if t == nil || groups[i]&needed == 0 {
			continue
		}
		tasks[i] = nil
		for n := range t.functions {
			// A function's value is a pointer to where its code's address is.
			f := unsafe.Add(unsafe.Pointer(t), unsafe.Sizeof(task{})+uintptr(n)*unsafe.Sizeof(uintptr(0)))
			(*(*func())(unsafe.Pointer(&f)))()
		}
	}
}
