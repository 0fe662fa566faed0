package runtime

import (
	"fmt"
	"os"
	"strings"
)

// helper is this test binary as a process of its own that may be killed.
func helper(what string) int {
	upper, work, lower, cgroup := os.Getenv("UPPER"), os.Getenv("WORK"), os.Getenv("LOWER"), os.Getenv("CGROUP")
	spec := DefaultSpec()
	spec.Process.Args = strings.Fields(what)
	c, err := Create(Config{ID: "x", Spec: spec, CgroupPath: cgroup, RootFS: RootFS{Lowers: []string{lower}, Upper: upper, Work: work}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(c.PID)
	select {} // until killed
}
