package held

import (
	"slices"
	"testing"
	"unsafe"
)

// code is where the address of a function's code is, as a task has it.
func code(f func()) uintptr { return **(**uintptr)(unsafe.Pointer(&f)) }

var ran []string

func first()  { ran = append(ran, "first") }
func second() { ran = append(ran, "second") }
func third()  { ran = append(ran, "third") }

// TestHold holds tasks as the compiler makes them.
func TestHold(t *testing.T) {
	type inittask struct {
		task
		code [2]uintptr
	}
	two := &inittask{task{waiting, 2}, [2]uintptr{code(first), code(second)}}
	one := &inittask{task{waiting, 1}, [2]uintptr{code(third)}}
	begun := &inittask{task{1, 1}, [2]uintptr{code(first)}}
	finished := &inittask{task{done, 1}, [2]uintptr{code(first)}}
	empty := &inittask{}
	list := []*task{&two.task, &begun.task, &empty.task, &finished.task, &one.task}
	hold(list)
	if two.state != done || one.state != done || begun.state != 1 || finished.state != done || empty.state != waiting {
		t.Errorf("their states are %d, %d, %d, %d, %d", two.state, one.state, begun.state, finished.state, empty.state)
	}
	run(list)
	if want := []string{"first", "second", "third"}; !slices.Equal(ran, want) {
		t.Errorf("%v ran, want %v", ran, want)
	}
}
