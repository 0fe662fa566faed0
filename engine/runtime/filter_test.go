package runtime

import (
	"testing"

	"compose/engine/runtime/seccomp"
)

// TestDefaultFilterIsReady: nobody compiles what nearly every container has.
func TestDefaultFilterIsReady(t *testing.T) {
	profile, err := DefaultSeccomp(DefaultSpec())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := seccomp.Ready(profile); !ok {
		t.Error("the default profile is compiled at run time: run go generate in engine/runtime/seccomp")
	}
}
