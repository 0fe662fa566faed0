package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newVersionCommand(app *App) *cobra.Command {
	var short bool
	var format string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case short:
				fmt.Fprintln(app.Stdout, strings.TrimPrefix(version, "v"))
			case format == "json":
				return json.NewEncoder(app.Stdout).Encode(map[string]string{"version": version})
			case format == "" || format == "pretty":
				return printVersion(app)
			default:
				return fmt.Errorf("unsupported --format value %q; use pretty or json", format)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "Only the number")
	cmd.Flags().StringVarP(&format, "format", "f", "", `"pretty" or "json"`)
	return cmd
}

func printVersion(app *App) error {
	_, err := fmt.Fprintln(app.Stdout, "compose version "+version)
	return err
}
