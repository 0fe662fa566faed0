// Package entry is where the binary begins: the linker is told to make entry its
// entry point (-E, see the Makefile). What is here runs before Go's runtime does,
// whose start takes longer than much of what is started.
//
// Other binaries, such as tests, begin where Go ones do. They do without: what has
// not been done here is done later, and more slowly.
package entry

import "compose/internal/deepstack"

// Of all initialisers this is the first, for there is nothing that it waits for, and
// those of the libraries go deep.
func init() { deepstack.Grow() }

// What entry has to tell.
var supervisor, bell int32

// The descriptors of a keeper that has forked: its supervisor's pidfd, its end of the
// link to that, and what it is woken by.
const (
	PIDFD  = 3
	LinkFD = 4
	BellFD = 6
)

// TitleSize is how long the first message over the link is, which is the keeper's
// title: as long as its name, compose-keeper, and its argument, TitleRoom spaces,
// each with a zero at its end, but for the last.
const (
	TitleRoom = 1024
	TitleSize = len("compose-keeper") + 1 + TitleRoom
)

// Supervisor returns the process that a keeper has been forked into here, or 0.
//
// A process that is started as a keeper, with one argument, becomes a child
// subreaper, makes a link, a socket of whole messages, and forks. The child has all
// that one that is started as a supervisor has: the descriptors, the name and room
// for a title. The parent writes the first message that it is sent over its command
// line, answers with its name, and sleeps then: what else it is sent waits in the
// socket, descriptors too. Before there has been a message nobody has seen either,
// and if the child is gone then the parent goes too. That is its end also where the
// child ends without fault. Otherwise, or woken by the bell, it begins to be a
// keeper; what it costs to begin, and the memory, most stacks never need.
func Supervisor() int { return int(supervisor) }

// Bell returns the eventfd that a supervisor has to wake its keeper by, or -1 where
// that does not sleep.
func Bell() int {
	if bell == 0 {
		return -1
	}
	return int(bell)
}
