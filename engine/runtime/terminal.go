package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// terminal is a pseudo-terminal out of the container's own devpts.
type terminal struct{ master, slave *os.File }

func openTerminal(root int, size *specs.Box) (*terminal, error) {
	fd, err := openInRoot(root, "dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, fmt.Errorf("open the container's /dev/pts/ptmx: %w", err)
	}
	fail := func(what string, err error) (*terminal, error) {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return fail("open a terminal", fmt.Errorf("/dev/pts of the container is no devpts"))
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fail("unlock the terminal", err)
	}
	// By the descriptor, not by its name: a name can be made to lead elsewhere.
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return fail("open the terminal's slave side", errno)
	}
	t := &terminal{master: os.NewFile(uintptr(fd), "ptmx"), slave: os.NewFile(slave, "pts")}
	if size != nil && size.Height > 0 && size.Width > 0 {
		if err := Resize(t.master, uint16(size.Height), uint16(size.Width)); err != nil {
			t.master.Close()
			t.slave.Close()
			return nil, err
		}
	}
	return t, nil
}

// Resize tells the terminal behind its master side how large it is, in characters.
func Resize(master *os.File, rows, cols uint16) error {
	conn, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var ioctlErr error
	err = conn.Control(func(fd uintptr) {
		ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	if err == nil {
		err = ioctlErr
	}
	if err != nil {
		return fmt.Errorf("resize the terminal: %w", err)
	}
	return nil
}

// bindConsole mounts the slave side on /dev/console, a file that was just made
// on the fresh tmpfs. In a /dev from elsewhere it may be there, but as no link.
func (t *terminal) bindConsole(root int) error {
	dev, err := openInRoot(root, "dev", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return fmt.Errorf("open /dev: %w", err)
	}
	defer unix.Close(dev)
	if err := unix.Mknodat(dev, "console", unix.S_IFREG|0o600, 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("make /dev/console: %w", err)
	}
	fd, err := openInRoot(dev, "console", unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return fmt.Errorf("open /dev/console: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Mount(fdPath(int(t.slave.Fd())), fdPath(fd), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /dev/console: %w", err)
	}
	return nil
}
