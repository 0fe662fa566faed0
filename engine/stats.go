package engine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"compose/engine/runtime"
)

// Stats is what a container has used so far, and uses now.
type Stats struct {
	At             time.Time
	CPU            time.Duration // of all CPUs together, since it was started
	Memory         uint64        // bytes, without what the kernel can take back at once
	MemoryLimit    uint64        // bytes; 0: none
	Received, Sent uint64        // bytes, on all its networks
	Read, Written  uint64        // bytes, of block devices
	Processes      uint64
}

// Stats reads a container's figures. One that does not run has none.
func (e *Engine) Stats(c *Container, state *State) (Stats, error) {
	g, err := runtime.Stats(e.cgroupPath(c))
	if err != nil {
		return Stats{}, err
	}
	s := Stats{At: time.Now(), CPU: g.CPU, Memory: g.Memory, MemoryLimit: g.MemoryLimit, Read: g.ReadBytes, Written: g.WriteBytes, Processes: g.PIDs}
	s.Received, s.Sent = traffic(state.PID)
	return s, nil
}

// traffic adds up the bytes of all interfaces of a process's network but the
// loopback.
func traffic(pid int) (received, sent uint64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(data) {
		name, rest, ok := strings.Cut(string(line), ":")
		f := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" || len(f) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(f[0], 10, 64)
		out, _ := strconv.ParseUint(f[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}
