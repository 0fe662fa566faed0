package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/spec"
)

// fixedValues are the flags with a few values, by verb and flag; a verb "" is
// before the verb.
var fixedValues = map[string][]string{
	" progress":     {"auto", "tty", "plain", "json", "quiet"},
	" ansi":         {"never", "always", "auto"},
	"up pull":       {"always", "missing", "never"},
	"create pull":   {"always", "missing", "never", "build"},
	"run pull":      {"always", "missing", "never"},
	"pull policy":   {"missing", "always"},
	"down rmi":      {"local", "all"},
	"ps status":     {"paused", "restarting", "removing", "running", "dead", "created", "exited"},
	"ps filter":     {"status="},
	"ps format":     {"table", "json"},
	"ls format":     {"table", "json"},
	"images format": {"table", "json"},
	"config format": {"yaml", "json"},
	"port protocol": {"tcp", "udp"},
	"graph format":  {"text", "mermaid", "dot"},
	"kill signal":   {"SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGTERM", "SIGUSR1", "SIGUSR2"},
}

// completeFlags has the shell offer the values of flags. It takes a while, and
// is done only where the shell asks.
func (app *App) completeFlags(root *cobra.Command) {
	if len(app.args) == 0 || app.args[0] != cobra.ShellCompRequestCmd && app.args[0] != cobra.ShellCompNoDescRequestCmd {
		return
	}
	register := func(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
		if cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, fn) // it exists, and is registered once
		}
	}
	for _, cmd := range append(root.Commands(), root) {
		verb := cmd.Name()
		if cmd == root {
			verb = ""
		}
		for key, values := range fixedValues {
			if v, flag, _ := strings.Cut(key, " "); v == verb {
				register(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
			}
		}
		for _, flag := range []string{"exit-code-from", "attach", "no-attach"} {
			if verb == "up" {
				register(cmd, flag, app.completeServiceFlag)
			}
		}
	}
	register(root, "file", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	register(root, "project-directory", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
	register(root, "profile", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		p, _, err := spec.Load(cmd.Context(), app.specOptions(nil))
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, s := range p.AllServices() {
			names = append(names, s.Profiles...)
		}
		return begunWith(names, begun), cobra.ShellCompDirectiveNoFileComp
	})
	register(root, "project-name", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		s, err := app.session(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.close()
		containers, _ := s.Everything(cmd.Context()) // without them there is nothing to offer
		var names []string
		for _, row := range projectRows(containers, true) {
			names = append(names, row.Name)
		}
		return begunWith(names, begun), cobra.ShellCompDirectiveNoFileComp
	})
}

func (app *App) completeServiceFlag(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	p, _, err := spec.Load(cmd.Context(), app.specOptions(nil))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return begunWith(slices.Collect(maps.Keys(p.Services)), begun), cobra.ShellCompDirectiveNoFileComp
}

// begunWith are the words that begin as typed, sorted, each once.
func begunWith(words []string, begun string) []string {
	out := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, begun) })
	slices.Sort(out)
	return slices.Compact(out)
}
