// Command compose runs the services of a Compose file in containers of its own
// making.
//
// How many threads may run Go code is the number of processors that the process
// may use, as the kernel says it in one call. To heed a control group's share of
// them too, the runtime would read the process's groups and every mount of the
// host at each start, and look again every second: a command is over before a
// share is used up, and a supervisor waits nearly always.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	// A keeper's whole life, and that of a container's init, is in the
	// package's own init, before all others.
	_ "compose/engine/runtime/initproc"
	"compose/orchestrator/keeper"

	"compose/internal/headroom"
	"compose/internal/lateinit"
	"compose/internal/lateinit/held"
	"compose/orchestrator"
	"compose/orchestrator/supervisor"
)

// version is set at build time with -ldflags "-X main.version=...".
var version = "dev"

// Not in main: the tests of this package hold initialisers, too.
func init() { lateinit.Provide(held.Run) }

func main() {
	orchestrator.Version, supervisor.Version = version, version
	if os.Args[0] == keeper.SupervisorName {
		os.Exit(supervisor.Main())
	}
	// A command lives for milliseconds: collecting garbage is mostly in its way.
	debug.SetGCPercent(800)
	app := &App{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(begun, func() {
		time.AfterFunc(settled, headroom.Settle)
		app.signals.end(ctx, stop)
	})
	os.Exit(app.run(ctx, os.Args[1:]))
}

// begun is when a command has been running for so long that a signal is to find it
// willing to end in order. Most are over by then, and being ready for one takes the
// runtime three threads and as long as reading a Compose file. Until then a signal
// kills, which no more than a SIGKILL leaves anything behind that the next command
// does not clear away.
const begun = 50 * time.Millisecond

// settled is when a command has been running for so long that it will live on, as
// one that shows what containers write. Most of what it has in memory then is from its
// start.
const settled = 5 * time.Second
