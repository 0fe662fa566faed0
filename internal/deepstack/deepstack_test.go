package deepstack

import (
	"testing"
	"unsafe"
)

// TestGrow looks whether deep calls move the stack, as growing it does.
func TestGrow(t *testing.T) {
	for _, grown := range []bool{false, true} {
		moved := make(chan bool)
		go func() {
			if grown {
				Grow()
			}
			var here byte
			before := uintptr(unsafe.Pointer(&here))
			deep(40)
			moved <- before != uintptr(unsafe.Pointer(&here))
		}()
		if moves := <-moved; moves == grown {
			t.Errorf("grown: %t, and it moves: %t", grown, moves)
		}
	}
}

// deep needs 20 KiB of stack.
//
//go:noinline
func deep(calls int) (sum byte) {
	var frame [512]byte
	frame[calls] = byte(calls)
	if calls > 0 {
		sum = deep(calls - 1)
	}
	return sum + frame[calls/2]
}
