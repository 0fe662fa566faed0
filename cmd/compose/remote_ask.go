package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/spec"
)

// errDeclined says that the user did not want a remote stack to run.
var errDeclined = errors.New("operation cancelled by user")

// askForRemote tells of a stack whose first file is not of this host where it
// lies, and asks, as Docker Compose does, whether it may be run: with files
// that it includes from elsewhere, and with the variables that it takes.
func (app *App) askForRemote(ctx context.Context, p *types.Project, yes bool) error {
	if len(app.Files) == 0 || !app.remotes.accept(app.Files[0]) {
		return nil
	}
	if !yes {
		if err := app.askForIncludes(); err != nil {
			return err
		}
	}
	if mode, err := app.progressMode(); err == nil && mode != render.ModeQuiet && mode != render.ModeJSON {
		fmt.Fprintf(app.Stdout, "Your compose stack %q is stored in %q\n", app.Files[0], p.WorkingDir)
	}
	if yes {
		return nil
	}
	return app.askForVariables(ctx)
}

// askForIncludes names the files that come from elsewhere, if others than those
// on the command line do.
func (app *App) askForIncludes() error {
	var included []string
	for _, address := range app.remotes.fetched() {
		if !slices.Contains(app.Files, address) {
			included = append(included, address)
		}
	}
	if len(included) == 0 {
		return nil
	}
	fmt.Fprintln(app.Stdout, "\nWarning: This Compose project includes files from remote sources:")
	for _, file := range app.Files {
		if app.remotes.accept(file) {
			fmt.Fprintln(app.Stdout, "  - "+file)
		}
	}
	for _, address := range included {
		fmt.Fprintln(app.Stdout, "  - "+address)
	}
	fmt.Fprintln(app.Stdout, "\nRemote includes could potentially be malicious. Make sure you trust the source.")
	return app.agree("Do you want to continue? [y/N]: ", false)
}

// askForVariables shows the variables that the files mention, with the values
// that they have.
func (app *App) askForVariables(ctx context.Context) error {
	o := app.specOptions(nil)
	model, _, err := spec.Model(ctx, o, spec.Skip{Interpolation: true, Validation: true, Environment: true})
	if err != nil {
		return err
	}
	variables := template.ExtractVariables(model, template.DefaultPattern)
	if len(variables) == 0 {
		return nil
	}
	fmt.Fprintln(app.Stdout, "\nFound the following variables in configuration:")
	w := tabwriter.NewWriter(app.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "VARIABLE\tVALUE\tSOURCE\tREQUIRED\tDEFAULT")
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		v := variables[name]
		value, source := "<unset>", "none"
		if set, ok := os.LookupEnv(name); ok {
			value, source = set, "environment"
		} else if v.DefaultValue != "" {
			value, source = v.DefaultValue, "compose file"
		}
		required := "no"
		if v.Required {
			required = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, value, source, required, v.DefaultValue)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return app.agree("\nDo you want to proceed with these variables? [Y/n]: ", true)
}

// agree asks a question. An empty answer is what the user of a terminal means by
// it, and no from anywhere else.
func (app *App) agree(question string, otherwise bool) error {
	fmt.Fprint(app.Stdout, question)
	line := readLine(app.Stdin)
	answer := strings.ToLower(strings.TrimSpace(line))
	if answer == "" && otherwise && line != "" && term.IsTerminal(int(app.Stdin.Fd())) {
		return nil
	}
	if yes, _ := strconv.ParseBool(answer); yes || answer == "y" || answer == "yes" {
		return nil
	}
	return errDeclined
}

// readLine reads a line, or what there is of one, and nothing of what follows:
// that may be meant for a container.
func readLine(r io.Reader) string {
	var line []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(line, []byte("\n")) {
		n, err := r.Read(one)
		line = append(line, one[:n]...)
		if err != nil {
			break
		}
	}
	return string(line)
}
