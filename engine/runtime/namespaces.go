package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var namespaceFlags = map[specs.LinuxNamespaceType]int{
	specs.MountNamespace: unix.CLONE_NEWNS, specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS, specs.CgroupNamespace: unix.CLONE_NEWCGROUP,
}

// enterNamespaces moves the thread into the container's namespaces, but for
// the PID and cgroup ones: the first is entered by being forked into, the
// second only after the cgroup, so that it has its top there.
func (c *creation) enterNamespaces() error {
	flags := unix.CLONE_NEWNS
	for _, ns := range c.spec.Linux.Namespaces {
		flag, ok := namespaceFlags[ns.Type]
		switch {
		case ns.Type == specs.UserNamespace:
		case !ok:
			return fmt.Errorf("namespaces of type %q are not supported", ns.Type)
		case ns.Path != "":
			if err := setnsPath(ns.Path, flag); err != nil {
				return fmt.Errorf("join the %s namespace: %w", ns.Type, err)
			}
			if ns.Type == specs.MountNamespace {
				flags &^= flag // the tree is made in the one that is there
			}
		case ns.Type == specs.NetworkNamespace && c.cfg.NetNS != nil:
		case ns.Type != specs.PIDNamespace && ns.Type != specs.CgroupNamespace:
			flags |= flag
		}
	}
	if c.cfg.NetNS != nil {
		if err := unix.Setns(int(c.cfg.NetNS.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("join the network namespace: %w", err)
		}
	}
	if c.ids != nil {
		if err := c.ids.enterOwned(flags); err != nil {
			return err
		}
	} else if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("make the namespaces: %w", err)
	}
	if HasNew(c.spec, specs.UTSNamespace) {
		if c.spec.Hostname != "" {
			if err := unix.Sethostname([]byte(c.spec.Hostname)); err != nil {
				return fmt.Errorf("set the host name %q: %w", c.spec.Hostname, err)
			}
		}
		if c.spec.Domainname != "" {
			if err := unix.Setdomainname([]byte(c.spec.Domainname)); err != nil {
				return fmt.Errorf("set the domain name %q: %w", c.spec.Domainname, err)
			}
		}
	}
	return nil
}

// userNamespace finds or makes the user namespace, if there is to be one. The
// child enters it last of all.
func (c *creation) userNamespace() error {
	for _, ns := range c.spec.Linux.Namespaces {
		if ns.Type != specs.UserNamespace {
			continue
		}
		i := &ids{uids: c.spec.Linux.UIDMappings, gids: c.spec.Linux.GIDMappings}
		var err error
		switch {
		case c.cfg.UserNS != nil:
			var fd int
			if fd, err = unix.FcntlInt(c.cfg.UserNS.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
				i.ns = os.NewFile(uintptr(fd), "user")
			}
		case ns.Path != "":
			i.ns, err = os.Open(ns.Path)
		default:
			i.ns, err = NewUserNS(i.uids, i.gids)
		}
		if err != nil {
			return fmt.Errorf("the user namespace: %w", err)
		}
		c.ids = i
	}
	return nil
}

// HasNew says whether a container is to have a namespace of a type that is made
// for it, and not joined.
func HasNew(spec *specs.Spec, t specs.LinuxNamespaceType) bool {
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type == t {
			return ns.Path == ""
		}
	}
	return false
}

func setnsPath(name string, flag int) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, flag)
}
