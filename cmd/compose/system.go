package main

import "github.com/spf13/cobra"

func newSystemCommand(app *App) *cobra.Command {
	return app.group(&cobra.Command{Use: "system COMMAND", Short: "Look at and clean up this installation"}, func() []*cobra.Command {
		return []*cobra.Command{
			newSystemInfoCommand(app), newSystemDfCommand(app), newSystemEventsCommand(app), newSystemPruneCommand(app), newSystemResumeCommand(app),
			newSystemEnableCommand(app), newSystemDisableCommand(app),
		}
	})
}
