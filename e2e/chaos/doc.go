// Package chaos kills processes of ours at random instants, and at chosen ones
// between two changes of state, while random stacks live random lives; then it
// compares what the kernel has with what the state on disk says.
package chaos
