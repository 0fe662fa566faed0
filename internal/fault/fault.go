//go:build !faults

// Package fault lets a test kill our processes at chosen instants. Built
// without the tag "faults", as every release is, it is empty.
package fault

// Point names an instant between two changes of what is kept on disk, in the
// kernel or with another process. It does nothing.
func Point(string) {}
