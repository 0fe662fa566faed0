// Package e2e runs the built binary against real stacks and looks at them from
// outside: files, commands, what one sees, and what is left afterwards.
package e2e
