// Package orchestrator makes a project so: it observes what the engine has,
// compares that with what the Compose file asks, lays the difference out as a
// plan of small operations and carries the plan out, everything side by side
// that may. The verbs of the command are calls into this package.
package orchestrator
