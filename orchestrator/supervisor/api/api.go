// Package api is what a project's supervisor and its clients say to each
// other: HTTP and JSON on a unix socket, below the path /v1.
package api

import (
	"path/filepath"

	"compose/internal/roots"
	"compose/orchestrator/keeper"
)

// Prefix is that of all paths; it names the version.
const Prefix = "/v1"

// TraceHeader names the file that a request is to be traced to.
const TraceHeader = "Compose-Trace"

// Again is the header of a request that was made before, to a supervisor which
// died before it answered: what it asks for may have been done. Its value is the
// time of the first attempt, in nanoseconds since 1970.
const Again = "Compose-Again"

// Socket is where the supervisor of a project listens.
func Socket(r roots.Roots, project string) string {
	return filepath.Join(r.RunProject(project), keeper.SocketName)
}

// SpawnLock is held by who starts a supervisor and by one that is leaving.
func SpawnLock(r roots.Roots, project string) string {
	return filepath.Join(r.RunProject(project), "spawn.lock")
}

// Lock is held by keeper and supervisor as long as either of them lives. Who
// finds it held does not start others: they come back by themselves.
func Lock(r roots.Roots, project string) string {
	return filepath.Join(r.RunProject(project), "supervisor.lock")
}

// Log is where a supervisor and its keeper say what goes wrong with themselves.
func Log(r roots.Roots, project string) string {
	return filepath.Join(r.Project(project), "supervisor.log")
}

// Info answers GET /info.
type Info struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Project string `json:"project"`
}

// Error is the body of every answer that is not a success. 404 says that there
// is no such container.
type Error struct {
	Message string `json:"message"`
	Code    int    `json:"code,omitempty"` // 125 to 128: the program could not be run
}

// Stop is the body of POST /containers/{id}/stop and /restart. A nil timeout
// is the container's own, a negative one waits for ever.
type Stop struct {
	Signal  string   `json:"signal,omitempty"`
	Timeout *float64 `json:"timeout_seconds"`
	Removal bool     `json:"removal,omitempty"` // the container is removed next
}

// Kill is the body of POST /containers/{id}/kill.
type Kill struct {
	Signal string `json:"signal"`
}

// The conditions of Wait.
const (
	// NotRunning is met once the container has ended and is not started again.
	NotRunning = "not-running"
	// NextExit is met by the next end, restarts included, or at once where the
	// container does not run and waits for no restart.
	NextExit = "next-exit"
	Removed  = "removed"
	// Healthy is met by a container without a healthcheck as soon as it runs.
	// A wait for it also ends where it will not come to that: the container is
	// unhealthy or has ended.
	Healthy = "healthy"
)

// Wait is the body of POST /containers/{id}/wait, and Waited the answer.
type Wait struct {
	Condition string `json:"condition"`
}

// Waited says how things stood when a wait ended.
type Waited struct {
	ExitCode int    `json:"exit_code"`
	Status   string `json:"status"`
}

// Remove is the body of POST /containers/{id}/remove.
type Remove struct {
	Force   bool `json:"force"`   // also one that runs: it is killed
	Volumes bool `json:"volumes"` // its anonymous volumes too
}

// Disconnect is the body of POST /containers/{id}/disconnect; that of /connect
// is a netbridge.EndpointConfig.
type Disconnect struct {
	Network string `json:"network"`
}

// Resize is the body of POST /containers/{id}/resize.
type Resize struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"cols"`
}

// Event is one line of GET /events: what those who are connected must know at
// once. The journal has everything that happens.
type Event struct {
	ID         string `json:"id"`
	Action     string `json:"action"`               // "start", "die" or "destroy"
	ExitCode   int    `json:"exit_code,omitempty"`  // of "die"
	Restarting bool   `json:"restarting,omitempty"` // of "die": the restart policy starts it again
}

// The streams of an attached container without a terminal. Each frame has a
// header of eight bytes: the stream, three zeros and the length, big endian.
const (
	Stdout = 1
	Stderr = 2
)
