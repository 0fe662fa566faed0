package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/engine"
	"compose/engine/build"
	"compose/engine/build/progress"
	"compose/engine/image"
)

// buildFlags are those of `image build`.
type buildFlags struct {
	build.Options
	args, labels, secrets, ssh, contexts, allow, outputs []string
	shmSize, iidfile, metadataFile, progress, call       string
	cacheFrom, cacheTo                                   []string
	quiet, check, push                                   bool

	findings int // of the linter
}

func newImageBuildCommand(app *App) *cobra.Command {
	f := &buildFlags{}
	cmd := &cobra.Command{
		Use:     "build [OPTIONS] PATH | URL | -",
		Aliases: []string{"b"},
		Short:   "Build an image from a Dockerfile",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			warnLegacyBuildFlags(app.Stderr, cmd.Flags())
			return app.buildImage(cmd.Context(), f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.Tags, "tag", "t", nil, "A name for the image, as NAME[:TAG] (repeatable)")
	fl.StringVarP(&f.Dockerfile, "file", "f", "", `The Dockerfile (default PATH/Dockerfile), "-" is standard input`)
	fl.StringArrayVar(&f.args, "build-arg", nil, "Set a build-time variable (repeatable)")
	fl.StringVar(&f.Target, "target", "", "The stage to build")
	fl.StringArrayVar(&f.labels, "label", nil, "A label of the image, as KEY=VALUE (repeatable)")
	fl.BoolVar(&f.NoCache, "no-cache", false, "Do not use the cache")
	fl.StringSliceVar(&f.NoCacheFilter, "no-cache-filter", nil, "Do not use the cache for these stages")
	fl.BoolVar(&f.Pull, "pull", false, "Always look for a newer version of the base images")
	fl.StringVar(&f.Platform, "platform", "", "The platform of the image, as os/architecture")
	fl.StringVar(&f.Network, "network", "", "The network of RUN steps: default, none or host")
	fl.StringArrayVar(&f.ExtraHosts, "add-host", nil, "An entry of the steps' /etc/hosts, as NAME:IP (repeatable)")
	fl.StringVar(&f.shmSize, "shm-size", "", "The size of the steps' /dev/shm")
	fl.StringArrayVar(&f.Ulimits, "ulimit", nil, "A resource limit of the steps, as nofile=1024:2048 (repeatable)")
	fl.StringArrayVar(&f.secrets, "secret", nil, "A secret, as id=NAME[,src=FILE|,env=VARIABLE] (repeatable)")
	fl.StringArrayVar(&f.ssh, "ssh", nil, "An SSH agent's socket, as default|ID[=SOCKET] (repeatable)")
	fl.StringArrayVar(&f.contexts, "build-context", nil, "One more context, as NAME=PATH|URL|docker-image://IMAGE (repeatable)")
	fl.StringArrayVar(&f.allow, "allow", nil, "Allow an entitlement: security.insecure or network.host (repeatable)")
	fl.StringArrayVar(&f.cacheFrom, "cache-from", nil, "Take results from this cache: NAME, type=registry,ref=NAME or type=local,src=DIR (repeatable)")
	fl.StringArrayVar(&f.cacheTo, "cache-to", nil, "Leave results at this cache: type=registry,ref=NAME or type=local,dest=DIR[,mode=max] (repeatable)")
	fl.StringArrayVarP(&f.outputs, "output", "o", nil, "Where the result goes, as type=local,dest=DIR, type=tar,dest=FILE or type=docker (repeatable)")
	fl.StringVar(&f.iidfile, "iidfile", "", "Write the image's ID to this file")
	fl.StringVar(&f.metadataFile, "metadata-file", "", "Write what was built to this file, as JSON")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "Print the image's ID only")
	fl.StringVar(&f.progress, "progress", envOr("BUILDKIT_PROGRESS", "auto"), "How progress is shown: auto, plain, tty, quiet or rawjson")
	fl.BoolVar(&f.check, "check", false, "Check the Dockerfile and build nothing")
	fl.StringVar(&f.call, "call", "build", `What is done: "build", "check", "outline" or "targets", the last two also with ",format=json"`)
	fl.BoolVar(&f.push, "push", false, "Push the image by all its names, as --output type=registry does")
	fl.Bool("load", false, "Accepted for compatibility: the image is always here")
	fl.BoolP("force-rm", "", false, "Accepted for compatibility")
	fl.BoolP("rm", "", true, "Accepted for compatibility")
	fl.StringVar(&f.CgroupParent, "cgroup-parent", "", "The cgroup above those of the steps")
	registerLegacyBuildFlags(fl)
	return cmd
}

// buildImage builds the context that is named and says what has come of it.
func (app *App) buildImage(ctx context.Context, f *buildFlags, where string) error {
	call, format, _ := strings.Cut(f.call, ",")
	f.CheckOnly = f.check || call == "check" || call == "lint"
	switch {
	case call == "build" || f.CheckOnly:
	case call != "outline" && call != "targets":
		return fmt.Errorf("--call %s is not known; there are build, check, outline and targets", call)
	case format != "" && format != "format=json" && format != "format=text":
		return fmt.Errorf("--call %s: the format is written as format=json or format=text", f.call)
	}
	done, err := f.prepare(app, where)
	defer done()
	if err != nil {
		return err
	}
	e, err := app.openEngine()
	if err != nil {
		return err
	}
	if call == "outline" || call == "targets" {
		return e.Builder().Describe(ctx, f.Options, call, format == "format=json", app.Stdout)
	}
	display, err := progress.New(app.Stderr, f.mode(app), app.screen)
	if err != nil {
		return err
	}
	f.Progress = func(e build.Event) {
		if e.Warning != nil {
			f.findings++ // there is one goroutine while the file is read
		}
		display.Event(e)
	}
	img, err := e.Builder().Build(ctx, f.Options)
	display.Close()
	if err != nil {
		return buildFailed(err)
	}
	if f.CheckOnly {
		return f.checked(app)
	}
	return f.deliver(ctx, app, e, img)
}

// buildFailed is the error as `docker build` words it.
func buildFailed(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("ERROR: failed to build: failed to solve: %w", err)
}

func (f *buildFlags) mode(app *App) string {
	switch {
	case f.quiet:
		return progress.ModeQuiet
	case f.progress == "auto" || f.progress == "":
		if term.IsTerminal(int(app.Stderr.Fd())) {
			return progress.ModeTTY
		}
		return progress.ModePlain
	}
	return f.progress
}

// prepare turns the flags into the builder's options. done takes away what
// was put aside for the build.
func (f *buildFlags) prepare(app *App, where string) (done func(), err error) {
	done = func() {}
	f.Args, f.Labels = map[string]string{}, pairs(f.labels)
	for _, text := range f.cacheFrom {
		ref, err := build.ParseCacheRef(text, false)
		if err != nil {
			return done, fmt.Errorf("--cache-from: %w", err)
		}
		f.CacheFrom = append(f.CacheFrom, ref)
	}
	for _, text := range f.cacheTo {
		ref, err := build.ParseCacheRef(text, true)
		if err != nil {
			return done, fmt.Errorf("--cache-to: %w", err)
		}
		f.CacheTo = append(f.CacheTo, ref)
	}
	build.InheritEpoch(f.Args, os.Getenv)
	for _, kv := range resolveEnv(f.args) {
		k, v, _ := strings.Cut(kv, "=")
		f.Args[k] = v
	}
	if f.shmSize != "" {
		if f.ShmSize, err = units.RAMInBytes(f.shmSize); err != nil {
			return done, fmt.Errorf("invalid argument %q for --shm-size", f.shmSize)
		}
	}
	for _, t := range f.Tags {
		if _, err := image.ParseReference(t); err != nil {
			return done, fmt.Errorf("invalid tag %q: %w", t, err)
		}
	}
	for _, e := range f.allow {
		switch e {
		case "security.insecure":
			f.Privileged = true
		case "network.host":
		default:
			return done, fmt.Errorf("--allow: %q is not known; there are security.insecure and network.host", e)
		}
	}
	if err := f.sources(); err != nil {
		return done, err
	}
	return f.context(app, where)
}

// sources reads --secret, --ssh and --build-context.
func (f *buildFlags) sources() error {
	f.Secrets, f.SSH, f.Contexts = map[string]build.Secret{}, map[string]string{}, map[string]string{}
	for _, text := range f.secrets {
		v := pairs(strings.Split(text, ","))
		id := v["id"]
		if id == "" {
			return fmt.Errorf("--secret %s: it needs an id", text)
		}
		file := v["src"] + v["source"]
		variable, fromEnv := v["env"]
		if v["type"] == "env" || file == "" && !fromEnv {
			if variable == "" {
				variable = id
			}
			fromEnv = v["type"] == "env" || os.Getenv(variable) != ""
		}
		switch {
		case fromEnv:
			f.Secrets[id] = build.Secret{Data: []byte(os.Getenv(variable))}
		case file == "":
			f.Secrets[id] = build.Secret{File: id}
		default:
			f.Secrets[id] = build.Secret{File: file}
		}
		if s := f.Secrets[id]; s.File != "" {
			if _, err := os.Stat(s.File); err != nil {
				return fmt.Errorf("--secret %s: %w", id, err)
			}
		}
	}
	for _, text := range f.ssh {
		id, socket, ok := strings.Cut(text, "=")
		if !ok {
			socket = os.Getenv("SSH_AUTH_SOCK")
		}
		if socket == "" {
			return errors.New("--ssh: there is no agent: SSH_AUTH_SOCK is not set")
		}
		f.SSH[id] = socket
	}
	for _, text := range f.contexts {
		name, where, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("--build-context %s: write it as NAME=PATH", text)
		}
		f.Contexts[name] = where
	}
	return nil
}

// deliver puts the result where it is wanted and names it.
func (f *buildFlags) deliver(ctx context.Context, app *App, e *engine.Engine, img *image.Image) error {
	if f.push {
		f.outputs = append(f.outputs, "type=registry")
	}
	for _, o := range f.outputs {
		if err := deliverTo(ctx, app, e, img, o, f.Tags); err != nil {
			return err
		}
	}
	if f.iidfile != "" {
		if err := os.WriteFile(f.iidfile, []byte(img.ID), 0o644); err != nil {
			return err
		}
	}
	if f.metadataFile != "" {
		if err := writeBuildMetadata(f.metadataFile, img, f.Tags); err != nil {
			return err
		}
	}
	if f.quiet && !slices.ContainsFunc(f.outputs, func(o string) bool { return strings.HasSuffix(o, "dest=-") || o == "-" }) {
		fmt.Fprintln(app.Stdout, img.ID)
	}
	return nil
}

// checked says that a check has found nothing, or fails.
func (f *buildFlags) checked(app *App) error {
	if f.findings > 0 {
		return exitWith(1)
	}
	_, err := fmt.Fprintln(app.Stdout, "Check complete, no warnings found.")
	return err
}

// context finds the build context: a directory, an address, or standard input,
// which is a Dockerfile or an archive of a directory.
func (f *buildFlags) context(app *App, where string) (done func(), err error) {
	done = func() {}
	if f.Dockerfile == "-" && where == "-" {
		return done, errors.New("invalid argument: can't use stdin for both build context and dockerfile")
	}
	if f.Dockerfile == "-" {
		if f.Inline, err = readLimited(app.Stdin); err != nil {
			return done, err
		}
		f.Dockerfile = ""
	}
	if f.Dockerfile != "" && !build.IsRemote(where) && where != "-" {
		// Relative to where the command runs, as everything that is typed.
		if f.Dockerfile, err = filepath.Abs(f.Dockerfile); err != nil {
			return done, err
		}
	}
	f.Context = where
	if where != "-" {
		return done, nil
	}
	dir, err := os.MkdirTemp("", "compose-context-")
	if err != nil {
		return done, err
	}
	done = func() { os.RemoveAll(dir) }
	return done, f.contextFromStdin(app, dir)
}
