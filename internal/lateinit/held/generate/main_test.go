package main

import (
	"bytes"
	"os"
	"testing"
)

// TestList compares the list with what the program imports now. Where somebody
// comes to import one of these packages without the promise to call Run, it
// leaves the list.
func TestList(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile("../tasks.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, want) {
		t.Error("internal/lateinit/held/tasks.go is out of date: run go generate ./internal/lateinit/held")
	}
}
