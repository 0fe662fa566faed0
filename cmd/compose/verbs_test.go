package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestVerbs has the table say each verb's names and aliases.
func TestVerbs(t *testing.T) {
	for _, v := range composeVerbs() {
		cmd := v.make(&App{})
		if names := append([]string{cmd.Name()}, cmd.Aliases...); !slices.Equal(names, strings.Fields(v.names)) {
			t.Errorf("%q makes %q", v.names, names)
		}
	}
}

// TestNamed makes as many verbs as a command line needs.
func TestNamed(t *testing.T) {
	const all = -1
	for line, want := range map[string]int{
		"": all, "nosuch": all, "--dry-run": all, "up --help": all, "help up": all, "completion bash": all, "__complete u": all,
		"up": 1, "-f x.yaml up -d web": 1, "convert": 1, "config convert": 1, "container ls": 2, "-p up down": 2,
	} {
		app := &App{args: strings.Fields(line)}
		if want == all {
			want = len(composeVerbs())
		}
		root := newRootCommand(app, composeVerbs())
		if got := len(root.Commands()); got != want {
			t.Errorf("%q makes %d verbs, want %d", line, got, want)
		}
		app.addOthers(root, composeVerbs())
		for _, v := range composeVerbs() {
			name, _, _ := strings.Cut(v.names, " ")
			if n := count(root.Commands(), name); n != 1 {
				t.Errorf("%q: after all there are %d verbs %q", line, n, name)
			}
		}
	}
}

func count(commands []*cobra.Command, name string) (n int) {
	for _, c := range commands {
		if c.Name() == name {
			n++
		}
	}
	return n
}
