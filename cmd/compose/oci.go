package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"compose/engine/oci"
)

// newOCICommand is the runtime as a plain OCI runtime. Where "oci" is the first
// word, its package has taken over long before this is asked for.
func newOCICommand(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:                "oci [OPTIONS] COMMAND",
		Short:              "Run containers from OCI bundles",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := app.roots()
			if err != nil {
				return err
			}
			if code := oci.Main(args, r.Run); code != 0 {
				return exitWith(code)
			}
			return nil
		},
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { fmt.Fprint(app.Stdout, oci.Usage) })
	return cmd
}
