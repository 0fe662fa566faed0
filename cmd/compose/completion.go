package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/spec"
)

// completeServices has the shell offer the project's services where a verb
// takes some.
func (app *App) completeServices(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction != nil || !strings.Contains(cmd.Use, "SERVICE") {
			continue
		}
		several := strings.Contains(cmd.Use, "SERVICE...")
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 && !several {
				return nil, cobra.ShellCompDirectiveDefault
			}
			// A file that cannot be read is the verb's to complain of.
			p, _, err := spec.Load(cmd.Context(), app.specOptions(nil))
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, name := range slices.Sorted(maps.Keys(p.Services)) {
				if strings.HasPrefix(name, begun) && !slices.Contains(args, name) {
					names = append(names, name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
}
