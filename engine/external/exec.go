package external

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/internal/timerslack"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Exec runs one more process in the container, whose first process is init.
// What the caller has as its child is the runtime, which passes signals on and
// ends as the process does.
func (r *Runtime) Exec(init int, p *specs.Process, groups []string, stdio [3]*os.File) (*runtime.Process, error) {
	root, err := os.OpenFile("/proc/"+strconv.Itoa(init)+"/root", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("find the container's files: %w", err)
	}
	defer root.Close()
	process := *p
	var home string
	if process.User, home, err = runtime.LookupUser(root, p.User, groups); err != nil {
		return nil, err
	}
	process.Env = withHome(process.Env, home)
	order, err := os.CreateTemp(r.Bundle, "exec-*.json")
	if err != nil {
		return nil, err
	}
	defer order.Close()
	// The runtime reads it at its own pace: it is handed over open, by number.
	defer os.Remove(order.Name())
	if err := json.NewEncoder(order).Encode(&process); err != nil {
		return nil, err
	}
	files := []*os.File{stdio[0], stdio[1], stdio[2]}
	made := new(runtime.Process)
	attr := &syscall.SysProcAttr{}
	if p.Terminal {
		master, slave, err := openPTY()
		if err != nil {
			return nil, err
		}
		defer slave.Close()
		made.Console = master
		if size := p.ConsoleSize; size != nil {
			if err := runtime.Resize(master, uint16(size.Height), uint16(size.Width)); err != nil {
				master.Close()
				return nil, err
			}
		}
		files = []*os.File{slave, slave, slave}
		attr.Setsid, attr.Setctty = true, true
	}
	for i, f := range files {
		if f != nil {
			continue
		}
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		defer null.Close()
		files[i] = null
	}
	cmd := r.command(os.DevNull, "exec", "--process", "/proc/self/fd/3", r.ID)
	if _, err := order.Seek(0, 0); err != nil {
		return nil, err
	}
	var fd int
	attr.PidFD = &fd
	var child *os.Process
	err = timerslack.Outside(func() (err error) {
		child, err = os.StartProcess(cmd.Path, cmd.Args, &os.ProcAttr{Files: append(slices.Clone(files), order), Sys: attr})
		return err
	})
	if err != nil {
		if made.Console != nil {
			made.Console.Close()
		}
		return nil, fmt.Errorf("run the runtime %s: %w", filepath.Base(r.Path), err)
	}
	made.PID, made.PIDFD = child.Pid, os.NewFile(uintptr(fd), "pidfd")
	return made, child.Release() // the caller waits for it by its number
}

// openPTY makes a terminal of the host's.
func openPTY() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		master.Close()
		return nil, nil, fmt.Errorf("open the terminal's slave side: %w", errno)
	}
	return master, os.NewFile(peer, "pts"), nil
}

// consoleSocket is where a runtime hands over a container's terminal.
type consoleSocket struct {
	path string
	l    *net.UnixListener
	dir  *os.File
}

// listenConsole listens in the container's bundle, which goes with it. A
// socket's path may have 107 bytes: this one leads through a descriptor.
func listenConsole(bundle string) (*consoleSocket, error) {
	dir, err := os.Open(bundle)
	if err != nil {
		return nil, err
	}
	s := &consoleSocket{path: fmt.Sprintf("/proc/%d/fd/%d/console", os.Getpid(), dir.Fd()), dir: dir}
	_ = os.Remove(s.path) // of one that was killed
	if s.l, err = net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"}); err != nil {
		dir.Close()
		return nil, fmt.Errorf("listen for the terminal of the container in %s: %w", bundle, err)
	}
	return s, nil
}

func (s *consoleSocket) close() {
	s.l.Close()
	s.dir.Close()
}

// receive takes the terminal's master side. The runtime has sent it by now.
func (s *consoleSocket) receive() (*os.File, error) {
	if err := s.l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	c, err := s.l.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("the runtime has sent no terminal: %w", err)
	}
	defer c.Close()
	data, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, fmt.Errorf("the runtime has sent no terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return nil, fmt.Errorf("the runtime has sent no terminal: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, fmt.Errorf("the runtime has sent no terminal: %w", err)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "ptmx"), nil
}
