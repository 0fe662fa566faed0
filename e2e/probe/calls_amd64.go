package main

import "golang.org/x/sys/unix"

func ofArch() map[string]call {
	return map[string]call{
		"iopl": {unix.SYS_IOPL, [5]uintptr{3}}, "ioperm": {unix.SYS_IOPERM, [5]uintptr{0, 1, 1}}, "uselib": {unix.SYS_USELIB, [5]uintptr{}},
		"ustat": {unix.SYS_USTAT, [5]uintptr{}}, "sysfs": {unix.SYS_SYSFS, [5]uintptr{3}}, "x32 getpid": {0x40000000 + unix.SYS_GETPID, [5]uintptr{}},
	}
}
