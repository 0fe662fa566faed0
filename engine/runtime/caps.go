package runtime

import (
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// capNames are the capabilities by number, capabilities(7).
var capNames = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
	"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
	"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Capabilities lists the capabilities that this host lets us hand out: all
// that the kernel knows and that are in our own bounding set.
var Capabilities = sync.OnceValue(func() []string {
	held := boundingSet()
	var names []string
	for i, name := range capNames {
		if held&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
})

// boundingSet is what we can hand out. It asks the kernel by prctl(2), not by
// /proc: it may first be wanted where no /proc is mounted, and an answer of
// "none" there would leave a container every capability that we have.
var boundingSet = sync.OnceValue(func() uint64 {
	var set uint64
	for i := range 64 {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(i), 0, 0, 0)
		if err != nil {
			break // the first number that the kernel does not know
		}
		set |= uint64(held) << i
	}
	return set
})

// capSet turns names into a bit set. A capability that this host does not have
// to give is left out; one that nobody knows is an error.
func capSet(names []string) (uint64, error) {
	var set uint64
next:
	for _, name := range names {
		for i, known := range capNames {
			if known == name {
				set |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("unknown capability %q", name)
	}
	return set & boundingSet(), nil
}

type capData struct{ effective, permitted, inheritable uint32 }

type capHeader struct {
	version uint32
	_       int32 // pid: 0 is the caller
}

// dropBounding adds what takes every capability away that caps does not bound.
// ownUsers says that it is in a user namespace of its own.
func (p *program) dropBounding(caps *specs.LinuxCapabilities, ownUsers bool) error {
	if caps == nil {
		caps = &specs.LinuxCapabilities{}
	}
	bounding, err := capSet(caps.Bounding)
	if err != nil {
		return err
	}
	// All that the kernel knows, also those too new to have a name here.
	for i := range 64 {
		rule := must
		if ownUsers {
			rule = may // it begins with all that there are, also those that we have not
		}
		if bounding&(1<<i) == 0 && (ownUsers || boundingSet()&(1<<i) != 0) {
			p.add(fmt.Sprintf("drop capability %d", i), rule, unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(i))
		}
	}
	return nil
}

// setCaps adds what sets the other four sets; it comes after the change of user.
func (p *program) setCaps(caps *specs.LinuxCapabilities) error {
	if caps == nil {
		caps = &specs.LinuxCapabilities{}
	}
	var sets [4]uint64
	for i, names := range [][]string{caps.Effective, caps.Permitted, caps.Inheritable, caps.Ambient} {
		set, err := capSet(names)
		if err != nil {
			return err
		}
		sets[i] = set
	}
	header := ptr(p, []capHeader{{version: unix.LINUX_CAPABILITY_VERSION_3}})
	data := ptr(p, []capData{
		{uint32(sets[0]), uint32(sets[1]), uint32(sets[2])},
		{uint32(sets[0] >> 32), uint32(sets[1] >> 32), uint32(sets[2] >> 32)},
	})
	p.add("set the capabilities", must, unix.SYS_CAPSET, header, data)
	p.add("clear the ambient capabilities", may, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	// The kernel raises no others; bundles that ask for more are common, and
	// runc starts them.
	ambient := sets[3] & sets[1] & sets[2]
	for i := range capNames {
		if ambient&(1<<i) != 0 {
			p.add("raise "+capNames[i], must, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(i), 0, 0)
		}
	}
	return nil
}

// KnownCapability says whether name, such as CAP_CHOWN, is a capability of the
// kernels we know.
func KnownCapability(name string) bool { return slices.Contains(capNames, name) }
