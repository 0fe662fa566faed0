package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
)

// dockerVersion is what `docker version` says.
type dockerVersion struct{ Client, Server versionPart }

type versionPart struct{ Version, GoVersion, Os, Arch string }

func newDockerVersionCommand(app *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			part := versionPart{version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if format != "" {
				return render.Inspect(app.Stdout, format, []dockerVersion{{part, part}})
			}
			for _, side := range []string{"Client", "Server"} {
				fmt.Fprintf(app.Stdout, "%s: compose\n Version:           %s\n Go version:        %s\n OS/Arch:           %s/%s\n", side, part.Version, part.GoVersion, part.Os, part.Arch)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	return cmd
}
