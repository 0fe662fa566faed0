package runtime

import (
	"bytes"
	"fmt"
	"os"
	"path" // path/filepath initialises after the heavy libraries

	"golang.org/x/sys/unix"
)

// Unconfined is the AppArmor profile of a process that stays in ours.
const Unconfined = "unconfined"

// AppArmor says whether this host's kernel confines by AppArmor profiles.
func AppArmor() bool { return appArmorIn("/sys") }

func appArmorIn(sys string) bool {
	on, err := os.ReadFile(path.Join(sys, "module/apparmor/parameters/enabled"))
	return err == nil && bytes.HasPrefix(on, []byte("Y"))
}

// hostProc is the host's /proc. A container's own may be anything.
var hostProc = "/proc"

// label is an AppArmor profile to be entered by the next execve.
type label struct {
	profile string
	proc    *os.File // O_PATH of the host's /proc
	file    string   // of the process's own attribute, below it
}

// openLabel is to be called while the host's /proc is in reach. Nil is for none.
func openLabel(profile string) (*label, error) {
	if profile == "" || profile == Unconfined {
		return nil, nil
	}
	proc, err := os.OpenFile(hostProc, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("prepare for the AppArmor profile %s: %w", profile, err)
	}
	l := &label{profile: profile, proc: proc, file: "self/attr/apparmor/exec"}
	if _, err := os.Stat(path.Join(hostProc, l.file)); err != nil {
		l.file = "self/attr/exec" // before Linux 5.1, where it may be another module's, which takes no such name
	}
	return l, nil
}

// close is safe to call on nil.
func (l *label) close() {
	if l != nil {
		l.proc.Close()
	}
}

// enter adds the steps. They come while the process has all capabilities and
// no filter yet, and end it where the profile cannot be had.
func (l *label) enter(p *program) {
	if l == nil {
		return
	}
	step := fmt.Sprintf("enter the AppArmor profile %s", l.profile)
	text := []byte("exec " + l.profile)
	p.add(step, opened, unix.SYS_OPENAT, l.proc.Fd(), p.str(l.file), unix.O_WRONLY|unix.O_CLOEXEC)
	p.add(step, must, unix.SYS_WRITE, 0, ptr(p, text), uintptr(len(text)))
}
