package runtime

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/seccomp"

	mobyseccomp "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// DefaultCapabilities are the capabilities that Docker gives a container.
func DefaultCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// DefaultPath is the PATH of an image that sets none.
const DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// DefaultMaskedPaths are hidden from a container, as Docker hides them.
func DefaultMaskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
}

// DefaultReadonlyPaths cannot be written inside a container, as in Docker.
func DefaultReadonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// DefaultShmSize is the size of /dev/shm in bytes where none is asked for.
const DefaultShmSize = 64 << 20

// DefaultSpec is a container with Docker's defaults: file systems, masked and
// read-only paths, capabilities, device rules and namespaces. It has no
// process to run and no seccomp profile; see DefaultSeccomp.
func DefaultSpec() *specs.Spec {
	caps := DefaultCapabilities()
	return &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Cwd:          "/",
			Env:          []string{DefaultPath},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Root: &specs.Root{},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprintf("size=%d", DefaultShmSize)}},
		},
		Linux: &specs.Linux{
			MaskedPaths:   DefaultMaskedPaths(),
			ReadonlyPaths: DefaultReadonlyPaths(),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.PIDNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.CgroupNamespace},
			},
			Resources: &specs.LinuxResources{Devices: DefaultDeviceRules()},
		},
	}
}

// DefaultDeviceRules let a container make any device node but use only these:
// null, zero, full, random, urandom, tty, console, ptmx and its own terminals.
func DefaultDeviceRules() []specs.LinuxDeviceCgroup {
	number := func(n int64) *int64 { return &n }
	rule := func(kind string, major, minor *int64, access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: major, Minor: minor, Access: access}
	}
	return []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		rule("c", nil, nil, "m"),
		rule("b", nil, nil, "m"),
		rule("c", number(1), number(3), "rwm"),
		rule("c", number(1), number(5), "rwm"),
		rule("c", number(1), number(7), "rwm"),
		rule("c", number(1), number(8), "rwm"),
		rule("c", number(1), number(9), "rwm"),
		rule("c", number(5), number(0), "rwm"),
		rule("c", number(5), number(1), "rwm"),
		rule("c", number(5), number(2), "rwm"),
		rule("c", number(136), nil, "rwm"),
	}
}

// DefaultSeccomp is moby's profile for a container with the Spec's
// capabilities, which it consults. Profiles for the same capabilities share
// one value; do not change it.
func DefaultSeccomp(spec *specs.Spec) (*specs.LinuxSeccomp, error) {
	key := ""
	if spec.Process != nil && spec.Process.Capabilities != nil {
		key = fmt.Sprint(spec.Process.Capabilities.Bounding)
	}
	if p, ok := profiles.Load(key); ok {
		return p.(*specs.LinuxSeccomp), nil
	}
	p, err := mobyseccomp.GetDefaultProfile(spec)
	if err != nil {
		return nil, fmt.Errorf("make the default seccomp profile: %w", err)
	}
	if other, loaded := profiles.LoadOrStore(key, p); loaded {
		return other.(*specs.LinuxSeccomp), nil
	}
	shared.Store(p, sync.OnceValues(func() ([]unix.SockFilter, error) { return seccomp.Compile(p) }))
	return p, nil
}

var profiles sync.Map // capabilities -> *specs.LinuxSeccomp

// LoadSeccomp reads a profile in Docker's JSON form.
func LoadSeccomp(text []byte, spec *specs.Spec) (*specs.LinuxSeccomp, error) {
	p, err := mobyseccomp.LoadProfile(string(text), spec)
	if err != nil {
		return nil, fmt.Errorf("read the seccomp profile: %w", err)
	}
	return p, nil
}
