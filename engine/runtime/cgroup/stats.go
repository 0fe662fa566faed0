package cgroup

import (
	"bytes"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"strconv"
	"strings"
	"time"

	"compose/internal/rawfile"
)

// Read reads the group's figures. What the host's kernel does not count is zero.
func Read(path string) (Stats, error) {
	h, err := host()
	if err != nil {
		return Stats{}, err
	}
	var s Stats
	if h.pure() {
		dir := slashpath.Join(h.unified, path)
		s.CPU = time.Duration(keyed(dir, "cpu.stat", "usage_usec")) * time.Microsecond
		s.Memory = number(dir, "memory.current")
		s.Memory -= min(s.Memory, keyed(dir, "memory.stat", "inactive_file"))
		s.MemoryLimit = number(dir, "memory.max")
		s.PIDs = number(dir, "pids.current")
		s.ReadBytes, s.WriteBytes = ioTotals(dir, "io.stat")
		return s, nil
	}
	s.CPU = time.Duration(number(h.dir("cpuacct", path), "cpuacct.usage"))
	memory := h.dir("memory", path)
	s.Memory = number(memory, "memory.usage_in_bytes")
	s.Memory -= min(s.Memory, keyed(memory, "memory.stat", "total_inactive_file"))
	if limit := number(memory, "memory.limit_in_bytes"); limit < 1<<62 {
		s.MemoryLimit = limit
	}
	s.PIDs = number(h.dir("pids", path), "pids.current")
	s.ReadBytes, s.WriteBytes = ioTotals(h.dir("blkio", path), "blkio.throttle.io_service_bytes")
	return s, nil
}

func number(dir, file string) uint64 {
	data, err := rawfile.Read(slashpath.Join(dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n
}

func keyed(dir, file, key string) uint64 {
	data, err := rawfile.Read(slashpath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if f := strings.Fields(string(line)); len(f) == 2 && f[0] == key {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n
		}
	}
	return 0
}

// ioTotals adds up v2's "8:0 rbytes=1 wbytes=2 ..." and v1's "8:0 Read 1".
func ioTotals(dir, file string) (read, written uint64) {
	data, err := rawfile.Read(slashpath.Join(dir, file))
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		if len(f) == 3 && (f[1] == "Read" || f[1] == "Write") {
			n, _ := strconv.ParseUint(f[2], 10, 64)
			if f[1] == "Read" {
				read += n
			} else {
				written += n
			}
			continue
		}
		for _, field := range f {
			key, value, _ := strings.Cut(field, "=")
			n, _ := strconv.ParseUint(value, 10, 64)
			switch key {
			case "rbytes":
				read += n
			case "wbytes":
				written += n
			}
		}
	}
	return read, written
}
