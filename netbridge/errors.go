package netbridge

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Errors to be told apart with errors.Is.
var (
	ErrExists   = errors.New("network exists already")
	ErrNotFound = errors.New("no such network")
	ErrInUse    = errors.New("network is in use")
)

// InUseError says which containers keep a network from being removed. It
// matches ErrInUse.
type InUseError struct {
	Network    string
	Containers []string // names
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("network %s is in use by %s; stop them first", e.Network, strings.Join(e.Containers, ", "))
}

func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// PortInUseError says that a port to be published is taken, and by whom.
type PortInUseError struct {
	HostIP   netip.Addr
	Port     uint16
	PortEnd  uint16 // of a range without a free port; otherwise 0
	Protocol string
	Holder   string // "nginx (pid 812)", "container shop-web-1", or "" if it cannot be found out
}

func (e *PortInUseError) Error() string {
	where := fmt.Sprintf("port %d/%s", e.Port, e.Protocol)
	if e.HostIP.IsValid() && !e.HostIP.IsUnspecified() {
		where = fmt.Sprintf("port %s/%s", netip.AddrPortFrom(e.HostIP, e.Port), e.Protocol)
	}
	if e.PortEnd > e.Port {
		return fmt.Sprintf("no port between %d and %d/%s is free; choose another range", e.Port, e.PortEnd, e.Protocol)
	}
	by := "another program"
	if e.Holder != "" {
		by = e.Holder
	}
	return fmt.Sprintf("%s is already in use by %s; stop it or publish another host port", where, by)
}

// AddressInUseError says that an address asked for belongs to another container.
type AddressInUseError struct {
	Network string
	Address netip.Addr
	Holder  string // container name or ID
}

func (e *AddressInUseError) Error() string {
	return fmt.Sprintf("address %s on network %s is already used by %s", e.Address, e.Network, e.Holder)
}
