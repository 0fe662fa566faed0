package proxy

import "golang.org/x/sys/unix"

const errRefused = unix.ECONNREFUSED

// readable is for RawConn.Read: true once there is something to read.
func readable(fd uintptr) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err != unix.EAGAIN
}
