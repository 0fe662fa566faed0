package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"compose/orchestrator"
	"compose/spec"
)

func newExecCommand(app *App) *cobra.Command {
	var opts orchestrator.ExecOptions
	var noTTY, interactive bool
	var index int
	var env []string
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARG...]",
		Short: "Run a command in a container that runs",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Args = args[1:]
			opts.Env = app.resolveProjectEnv(env)
			// Both ends must be the user's terminal: one that is piped elsewhere
			// would get the terminal's line feeds and echoes.
			opts.TTY = !noTTY && term.IsTerminal(int(app.Stdout.Fd())) && term.IsTerminal(int(app.Stdin.Fd()))
			name, err := app.projectName()
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			c, err := s.Target(cmd.Context(), orchestrator.Selection{Name: name, Services: args[:1]}, index)
			if err != nil {
				return err
			}
			s.close()
			if app.wouldDo("run %q in container %s", opts.Args, c.Name()) {
				return nil
			}
			if opts.Detach {
				return exitOf(s.Host.Exec(context.WithoutCancel(cmd.Context()), c.ID, opts, orchestrator.Streams{}))
			}
			con, err := app.connect(opts.TTY, interactive)
			if err != nil {
				return err
			}
			defer con.done()
			return exitOf(s.Host.Exec(context.WithoutCancel(cmd.Context()), c.ID, opts, con.streams))
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&opts.Detach, "detach", "d", false, "Return once the command has started")
	fl.StringArrayVarP(&env, "env", "e", nil, "Set an environment variable (repeatable)")
	fl.IntVar(&index, "index", 0, "The number of the container, if the service has several")
	fl.BoolVar(&opts.Privileged, "privileged", false, "Give the command all privileges")
	fl.StringVarP(&opts.User, "user", "u", "", "Run as this user")
	fl.BoolVarP(&noTTY, "no-tty", "T", false, "Do not give the command a terminal")
	fl.StringVarP(&opts.WorkingDir, "workdir", "w", "", "Run in this directory of the container")
	fl.BoolVarP(&interactive, "interactive", "i", true, "Keep standard input open")
	fl.BoolP("tty", "t", true, "Give the command a terminal")
	for _, name := range []string{"interactive", "tty"} {
		_ = fl.MarkHidden(name) // the flag exists
	}
	fl.SetInterspersed(false)
	fl.SetNormalizeFunc(legacyNames)
	return cmd
}

// legacyNames are those of flags that were called otherwise once.
func legacyNames(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "no-TTY":
		name = "no-tty"
	case "volumes":
		name = "volume"
	case "labels":
		name = "label"
	}
	return pflag.NormalizedName(name)
}

// resolveProjectEnv is resolveEnv where the project's environment files count
// too, behind the command's own environment.
func (app *App) resolveProjectEnv(env []string) []string {
	if !slices.ContainsFunc(env, func(kv string) bool { return !strings.Contains(kv, "=") }) {
		return resolveEnv(env)
	}
	vars, err := spec.EnvFileVariables(app.specOptions(nil))
	if err != nil {
		return resolveEnv(env) // there is no such file, or none that can be read
	}
	known := make([]string, len(env))
	for i, kv := range env {
		_, own := os.LookupEnv(kv)
		if value, ok := vars[kv]; ok && !own {
			kv += "=" + value
		}
		known[i] = kv
	}
	return resolveEnv(known)
}

// resolveEnv gives variables without a value that of the command's own
// environment, and leaves out those that it does not have.
func resolveEnv(env []string) []string {
	values := map[string]string{}
	for _, kv := range env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			v, ok = os.LookupEnv(k)
		}
		if ok {
			values[k] = v
		} else {
			delete(values, k)
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		out = append(out, k+"="+values[k])
	}
	return out
}
