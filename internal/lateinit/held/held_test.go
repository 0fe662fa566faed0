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
	list, groups := []*task{&two.task, &begun.task, &empty.task, &finished.task, &one.task}, []uint8{1, 3, 3, 3, 3}
	hold(list)
	if two.state != done || one.state != done || begun.state != 1 || finished.state != done || empty.state != waiting {
		t.Errorf("their states are %d, %d, %d, %d, %d", two.state, one.state, begun.state, finished.state, empty.state)
	}
	for _, c := range []struct {
		needed uint8
		want   []string
	}{{4, nil}, {2, []string{"third"}}, {2, nil}, {3, []string{"first", "second"}}, {3, nil}} {
		ran = nil
		if run(list, groups, c.needed); !slices.Equal(ran, c.want) {
			t.Errorf("for the groups %b %v ran, want %v", c.needed, ran, c.want)
		}
	}
}
