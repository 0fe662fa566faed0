package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/spec"
)

// oldFlags are global flags of former days, still in scripts.
type oldFlags struct {
	noANSI  bool
	workDir string
}

// globalFlags are those before the verb that Docker Compose has beyond the
// project's own.
func (app *App) globalFlags(fl *pflag.FlagSet) {
	fl.BoolVar(&app.AllResources, "all-resources", false, "Also networks and volumes that no service uses")
	fl.BoolVar(&app.old.noANSI, "no-ansi", false, "Deprecated: --ansi never")
	fl.StringVar(&app.old.workDir, "workdir", "", "Deprecated: --project-directory")
	fl.Bool("verbose", false, "Accepted for compatibility")
	fl.StringArrayVar(&app.InsecureRegistries, "insecure-registry", nil, "A registry without TLS to read Compose files from (repeatable)")
	for _, name := range []string{"no-ansi", "workdir", "verbose", "insecure-registry"} {
		_ = fl.MarkHidden(name) // the flag exists
	}
}

// engineVerbs are the groups of verbs that are not about a project.
var engineVerbs = map[string]bool{
	"container": true, "image": true, "volume": true, "network": true, "system": true, "builder": true, "login": true, "logout": true, "oci": true,
}

// lean are the verbs that have no need of compose-go, but where package spec sees one.
var lean = map[string]bool{"exec": true, "oci": true, "ps": true, "version": true}

// prepare makes what was said before the verb hold for it.
func (app *App) prepare(cmd *cobra.Command) error {
	verb := cmd
	for verb.HasParent() && verb.Parent().HasParent() && verb.Parent().Name() != "compose" {
		verb = verb.Parent()
	}
	if !lean[verb.Name()] {
		spec.Begin()
	}
	if isDocker(os.Args[0]) && (!verb.HasParent() || verb.Parent().Name() != "compose") {
		return nil
	}
	if engineVerbs[verb.Name()] {
		if app.DryRun {
			return fmt.Errorf("--dry-run is for the verbs of a project; %s has none", verb.Name())
		}
		return nil
	}
	app.variablesOfFiles()
	flags := verb.Root().Flags()
	if verb.HasParent() {
		flags = verb.Parent().Flags()
	}
	if v, ok := os.LookupEnv("COMPOSE_ANSI"); ok && !flags.Changed("ansi") {
		app.ANSI = v
	}
	if app.old.noANSI {
		if flags.Changed("ansi") {
			return errors.New(`cannot specify DEPRECATED "--no-ansi" and "--ansi". Please use only "--ansi"`)
		}
		app.ANSI = "never"
		fmt.Fprintln(app.Stderr, "option '--no-ansi' is DEPRECATED ! Please use '--ansi' instead.")
	}
	if app.old.workDir != "" {
		if app.ProjectDir != "" {
			return errors.New(`cannot specify DEPRECATED "--workdir" and "--project-directory". Please use only "--project-directory" instead`)
		}
		app.ProjectDir = app.old.workDir
		fmt.Fprintln(app.Stderr, "option '--workdir' is DEPRECATED at root level! Please use '--project-directory' instead.")
	}
	if v, ok := os.LookupEnv("COMPOSE_PARALLEL_LIMIT"); ok && !flags.Changed("parallel") {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("COMPOSE_PARALLEL_LIMIT must be an integer (found: %q)", v)
		}
		app.Parallel = n
	}
	_, err := app.progressMode()
	return err
}

// variablesOfFiles takes Docker Compose's own variables from the environment
// files too. A file that cannot be read is the loader's to complain of.
func (app *App) variablesOfFiles() {
	vars, err := spec.EnvFileVariables(app.specOptions(nil))
	if err != nil {
		return
	}
	for k, v := range vars {
		if _, ok := os.LookupEnv(k); !ok && strings.HasPrefix(k, "COMPOSE_") {
			_ = os.Setenv(k, v) // fails on names with = only
		}
	}
}

// explain prints the error that ends the command.
func (app *App) explain(message string) {
	if app.Progress == "json" {
		_ = json.NewEncoder(app.Stderr).Encode(struct {
			Error   bool   `json:"error"`
			Message string `json:"message"`
		}{true, message})
		return
	}
	fmt.Fprintln(app.Stderr, message)
}

// status is where progress is shown.
func (app *App) status() *os.File {
	if envBool("COMPOSE_STATUS_STDOUT") {
		return app.Stdout
	}
	return app.Stderr
}

// wouldDo says, with --dry-run, what is not done.
func (app *App) wouldDo(format string, args ...any) bool {
	if app.DryRun {
		app.dryRunSteps++
		fmt.Fprintf(app.Stdout, "%d. "+format+"\n", append([]any{app.dryRunSteps}, args...)...)
	}
	return app.DryRun
}
