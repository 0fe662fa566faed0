package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/orchestrator"
)

func newContainerExecCommand(app *App) *cobra.Command {
	var opts orchestrator.ExecOptions
	var interactive bool
	var env, envFiles []string
	var keys string
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
		Short: "Run a command in a container that runs",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Args = args[1:]
			for _, name := range envFiles {
				lines, err := envFile(name)
				if err != nil {
					return fmt.Errorf("--env-file: %w", err)
				}
				opts.Env = append(opts.Env, resolveEnv(lines)...)
			}
			opts.Env = append(opts.Env, resolveEnv(env)...)
			if opts.TTY && interactive && !term.IsTerminal(int(app.Stdin.Fd())) {
				return exitWithMessage(1, "the input device is not a TTY")
			}
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			s.close()
			switch {
			case c.State.Status == "paused":
				return fmt.Errorf("container %s is paused, unpause the container before exec", c.Name())
			case !c.Running():
				return fmt.Errorf("container %s is not running", c.ID)
			}
			ctx := context.WithoutCancel(cmd.Context())
			if opts.Detach {
				return exitOf(s.Host.Exec(ctx, c.ID, opts, orchestrator.Streams{}))
			}
			con, err := app.connect(opts.TTY, interactive)
			if err != nil {
				return err
			}
			defer con.done()
			return exitOf(s.Host.Exec(ctx, c.ID, opts, con.streams))
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&interactive, "interactive", "i", false, "Keep standard input open")
	fl.BoolVarP(&opts.TTY, "tty", "t", false, "Give the command a terminal")
	fl.BoolVarP(&opts.Detach, "detach", "d", false, "Return once the command has started")
	fl.StringArrayVarP(&env, "env", "e", nil, "Set an environment variable (repeatable)")
	fl.StringArrayVar(&envFiles, "env-file", nil, "Set environment variables from a file (repeatable)")
	fl.StringVarP(&opts.User, "user", "u", "", "Run as this user")
	fl.StringVarP(&opts.WorkingDir, "workdir", "w", "", "Run in this directory of the container")
	fl.BoolVar(&opts.Privileged, "privileged", false, "Give the command all privileges")
	fl.StringVar(&keys, "detach-keys", "", "Accepted for compatibility: the command belongs to this terminal")
	fl.SetInterspersed(false)
	return cmd
}
