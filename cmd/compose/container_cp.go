package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"compose/engine"
	"compose/orchestrator"
)

func newContainerCpCommand(app *App) *cobra.Command {
	var opts engine.CopyOptions
	var quiet bool
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
		Short: "Copy files between a container and the host",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, src := splitContainer(args[0])
			to, dst := splitContainer(args[1])
			switch {
			case from != "" && to != "":
				return errors.New("copying between containers is not supported")
			case from == "" && to == "":
				return errors.New("must specify at least one container source")
			}
			// One of the two names is empty.
			return app.onContainer(cmd.Context(), from+to, func(e *engine.Engine, c *orchestrator.Container) (err error) {
				switch {
				case from != "" && dst == "-":
					return e.CopyOutArchive(cmd.Context(), c.ID, src, app.Stdout, opts)
				case from != "":
					err = e.CopyOut(cmd.Context(), c.ID, src, dst, opts)
				case src == "-":
					return e.CopyInArchive(cmd.Context(), c.ID, app.Stdin, dst)
				default:
					err = e.CopyIn(cmd.Context(), c.ID, src, dst, opts)
				}
				if err == nil && !quiet {
					fmt.Fprintf(app.Stderr, "Successfully copied to %s\n", args[1])
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&opts.Archive, "archive", "a", false, "Keep owners")
	cmd.Flags().BoolVarP(&opts.FollowLink, "follow-link", "L", false, "Copy what a link in the source path points to")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Print nothing")
	return cmd
}

// splitContainer parts "CONTAINER:PATH"; a path of the host has no container.
func splitContainer(arg string) (container, path string) {
	container, path, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") || container == "" {
		return "", arg
	}
	if _, err := os.Lstat(arg); err == nil {
		return "", arg // a file that is called so
	}
	return container, path
}
