package main

import (
	"net"
	"testing"
)

// TestFloor runs the bare loop and checks that it takes its own things away.
func TestFloor(t *testing.T) {
	up, down, err := floor(t.TempDir(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if up <= 0 || down <= 0 {
		t.Errorf("no time was measured: up %s, down %s", up, down)
	}
	if _, err := net.InterfaceByName("cbfloor"); err == nil {
		t.Error("the bridge is still there")
	}
	t.Logf("3 containers: up %s, down %s", up, down)
}
