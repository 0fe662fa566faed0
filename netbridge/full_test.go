package netbridge

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFullBridge(t *testing.T) {
	plans := []*endpointPlan{{veth: "v1", network: &Network{Name: "app_default"}}, {network: &Network{Name: "app_lan"}}}
	err := connectError(errors.Join(unix.EXFULL, unix.EOPNOTSUPP), plans)
	if want := "no further container fits on network app_default: the kernel takes 1023 on one"; !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("it says %q, want %q and what to do", err, want)
	}
	if err := connectError(unix.EPERM, plans); !errors.Is(err, unix.EPERM) {
		t.Errorf("another error is %v", err)
	}
}
