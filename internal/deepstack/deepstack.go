// Package deepstack makes a goroutine's stack large before it is needed. It imports
// nothing, so that it can be used first of all.
package deepstack

// Grow makes the calling goroutine's stack 32 KiB large, as the deepest calls of
// ours need it. The runtime begins with a sixteenth and copies it to one of twice the
// size each time, with every frame that is on it by then: here there is hardly one.
func Grow()
