package runtime

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// execError puts a failed execve in Docker's words. It looks at the file to
// tell a missing program from a missing interpreter, and a directory from a
// file without permission, which the errno alone does not.
func execError(name string, errno unix.Errno) error {
	if errno == 0 {
		errno = unix.ENOENT // no place to look at
	}
	if !strings.Contains(name, "/") {
		switch errno {
		case unix.ENOENT, unix.ENOTDIR:
			return notFound(name, errno)
		case unix.EACCES:
			return notExecutable(name, errno)
		}
		return &ExecError{CodeNotExecutable, fmt.Sprintf("exec %s: %v", name, errno), errno}
	}
	if _, err := findProgram(name, []string{name}, unix.Stat); err != nil {
		return err
	}
	code := CodeNotExecutable
	if errno == unix.ENOENT || errno == unix.ENOTDIR {
		code = CodeNotFound // the interpreter that the program names
	}
	return &ExecError{code, fmt.Sprintf("exec %s: %v", name, errno), errno}
}

func notFound(name string, err error) error {
	return &ExecError{CodeNotFound, fmt.Sprintf("exec: %q: executable file not found in $PATH", name), err}
}

func notExecutable(name string, err error) error {
	return &ExecError{CodeNotExecutable, fmt.Sprintf("exec: %q: %v", name, err), err}
}

// statFrom is stat(2) for paths of a container that the thread is in, from the
// working directory cwd.
func statFrom(cwd string) func(string, *unix.Stat_t) error {
	return func(name string, st *unix.Stat_t) error {
		if !path.IsAbs(name) {
			name = path.Join(cwd, name)
		}
		return unix.Stat(name, st)
	}
}

// findProgram returns the first of places that is a file with an execute bit.
func findProgram(name string, places []string, stat func(string, *unix.Stat_t) error) (string, error) {
	var refused error
	for _, place := range places {
		var st unix.Stat_t
		err := stat(place, &st)
		switch {
		case err == unix.ENOENT || err == unix.ENOTDIR:
			if strings.Contains(name, "/") {
				return "", &ExecError{CodeNotFound, fmt.Sprintf("exec: %q: stat %s: %v", name, name, err), err}
			}
		case err != nil:
			refused = err
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			refused = unix.EISDIR
		case st.Mode&0o111 == 0 || st.Mode&unix.S_IFMT != unix.S_IFREG:
			refused = unix.EACCES
		default:
			return place, nil
		}
	}
	if refused != nil && (strings.Contains(name, "/") || refused == unix.EACCES) {
		return "", notExecutable(name, refused)
	}
	return "", notFound(name, unix.ENOENT)
}
