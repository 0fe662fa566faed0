// Package runtime carries out an OCI runtime-spec Spec on this host:
// namespaces, mounts, cgroups v1 and v2, capabilities, seccomp, resource
// limits and terminals. It keeps no state of its own; whoever calls it does.
//
// A container is made by a thread, not by a re-executed program. The thread
// enters fresh namespaces, mounts the container's file tree there and pivots
// into it, all in ordinary Go. Then it forks (vfork), and the child, which is
// the container's PID 1, runs a short list of prepared system calls (see
// program) that ends in execve. The thread ends with the goroutine that was
// locked to it and takes its namespaces along, so a failure at any point
// leaves nothing.
package runtime

import (
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// RootFS is a container's root file system: an overlay of layers, or one directory.
type RootFS struct {
	Lowers []string // absolute directories, top layer first
	Upper  string   // what the container writes; empty with Work: read-only
	Work   string   // overlayfs' own, on the file system of Upper
	Path   string   // instead of all these: a plain directory

	// Volatile has overlayfs leave out every sync of the upper directory, the
	// container's own and the one of the whole file system at its end. It is for
	// files that count only once somebody else has synced them.
	Volatile bool

	// IDMap shows the layers' files with their owners as those of the
	// container's user namespace.
	IDMap bool
}

// Config says what Create shall make.
type Config struct {
	ID     string
	Spec   *specs.Spec // its Root.Path serves where RootFS is zero
	RootFS RootFS

	// NetNS is the network namespace to enter. Nil leaves it to the Spec: the
	// host's if it lists none, a new one if it lists one without a path.
	NetNS *os.File

	// UserNS is the user namespace to enter where the Spec lists one, whose
	// mappings it has. Nil leaves it to the Spec: made new, or that of its path.
	UserNS *os.File

	// Groups are supplementary groups by name or number, resolved in the container.
	Groups []string

	// ByNumber takes the user and the groups of Spec.Process as the numbers
	// that stand there, as the OCI has it, and asks the image's files for the
	// home directory alone.
	ByNumber bool

	// CgroupPath is relative to the top of the hierarchies, such as
	// "compose-1a2b3c/<id>". Create makes it and DeleteCgroup removes it.
	CgroupPath string

	// Cgroup is the one of CgroupPath where BeginCgroup has begun it, or nil.
	Cgroup *Cgroup

	// The standard streams; nil is /dev/null. With Spec.Process.Terminal all
	// three are the terminal and these are not used.
	Stdin, Stdout, Stderr *os.File

	// Init runs a reaper as PID 1 and the process as its child.
	Init bool

	// Born is called as soon as the container's first process is there, which goes
	// on meanwhile. It may still fail to become what it is to be.
	Born func(pid int)

	// BeforePivot is called while the container's first process waits, all its
	// namespaces and mounts made, with the host's root still its own. An error
	// ends the container.
	BeforePivot func(pid int) error

	// Gate, where set, takes the place of Container.Start: the process waits
	// there, also when the process that called Create has ended. A process
	// without arguments is one that may wait and never run.
	Gate *Gate
}

// Gate is where a container's process waits for its start, and tells what came
// of it, as two FIFOs that are open in blocking mode.
type Gate struct {
	Start  *os.File // read: one byte says go
	Result *os.File // write: nothing before its end where the program runs, else what ParseResult reads
}

// Container is a container that Create has made. Its process is a child of
// the calling process, which has to wait4 for it. A finished Create has
// already waited for one that failed.
type Container struct {
	PID        int
	PIDFD      *os.File
	StartTicks uint64   // field 22 of /proc/<pid>/stat
	Console    *os.File // the terminal's master side, where Spec.Process.Terminal

	Warnings []string // what could not be set and was left as it is

	launch *launch // nil once started
}

// Process is a process that Exec has started inside a container. It is a
// child of the calling process.
type Process struct {
	PID      int
	PIDFD    *os.File
	Console  *os.File
	Warnings []string // as in Container
}

// ExecTarget names a running container for Exec.
type ExecTarget struct {
	PID        int      // its first process
	PIDFD      *os.File // of that process; nil: opened from PID
	CgroupPath string
	ByNumber   bool // as in Config
}

// Exit codes that Docker reports for a process that never ran.
const (
	CodeFailed        = 125 // the engine could not make the container
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// ExecError says why the container's program could not be run.
type ExecError struct {
	Code int    // CodeNotExecutable or CodeNotFound
	Msg  string // in Docker's words: exec: "nope": executable file not found in $PATH
	Err  error  // the errno
}

func (e *ExecError) Error() string { return e.Msg }
func (e *ExecError) Unwrap() error { return e.Err }

// stepError names the system call of the container's side that failed.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("%s: %v", e.step, e.err) }
func (e *stepError) Unwrap() error { return e.err }
