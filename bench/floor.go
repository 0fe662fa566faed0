package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// floor does the system calls that n containers on one bridge cannot do
// without, and no more: overlay mount, clone with five namespaces, a veth pair
// into the bridge, address and route. It returns the time to bring them up and
// the time to kill, wait and unmount.
func floor(dir string, n int) (up, down time.Duration, err error) {
	dir = filepath.Join(dir, "floor")
	if err := os.MkdirAll(filepath.Join(dir, "lower", "bin"), 0o755); err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return 0, 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "lower", "bin", "sleep"), program, 0o755); err != nil {
		return 0, 0, err
	}
	f := &floorRun{dir: dir}
	start := time.Now()
	err = f.up(n)
	up = time.Since(start)
	start = time.Now()
	if downErr := f.down(); err == nil {
		err = downErr
	}
	return up, time.Since(start), err
}

type floorRun struct {
	dir    string
	bridge *netlink.Bridge
	pids   []int
	mounts []string
}

func (f *floorRun) up(n int) error {
	f.bridge = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cbfloor"}}
	if err := netlink.LinkAdd(f.bridge); err != nil {
		return err
	}
	// An address range for documentation: it meets no real network.
	if err := netlink.AddrAdd(f.bridge, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(198, 18, 0, 1), Mask: net.CIDRMask(16, 32)}}); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(f.bridge); err != nil {
		return err
	}
	for i := range n {
		if err := f.container(i); err != nil {
			return fmt.Errorf("container %d: %w", i, err)
		}
	}
	return nil
}

func (f *floorRun) container(i int) error {
	base := filepath.Join(f.dir, fmt.Sprint(i))
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
			return err
		}
	}
	root := filepath.Join(base, "root")
	options := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", f.dir, base, base)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return err
	}
	f.mounts = append(f.mounts, root)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000000"}, &syscall.ProcAttr{
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
		Sys: &syscall.SysProcAttr{
			Chroot:     root,
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		},
	})
	if err != nil {
		return err
	}
	f.pids = append(f.pids, pid)
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	name := fmt.Sprintf("cvfloor%d", i)
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: f.bridge.Index, Flags: net.FlagUp},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(ns),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	eth0, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	ip := net.IPv4(198, 18, byte((i+2)>>8), byte(i+2))
	if err := inside.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(16, 32)}}); err != nil {
		return err
	}
	if err := inside.LinkSetUp(eth0); err != nil {
		return err
	}
	return inside.RouteAdd(&netlink.Route{Gw: net.IPv4(198, 18, 0, 1)})
}

func (f *floorRun) down() error {
	for _, pid := range f.pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			return err
		}
	}
	for _, pid := range f.pids {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			return err
		}
	}
	for _, root := range f.mounts {
		if err := unix.Unmount(root, 0); err != nil {
			return err
		}
	}
	if f.bridge != nil && f.bridge.Index != 0 {
		return netlink.LinkDel(f.bridge)
	}
	return nil
}
