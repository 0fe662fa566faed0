package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/image"
)

func newImagePullCommand(app *App) *cobra.Command {
	var quiet, allTags bool
	var platform string
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] NAME[:TAG|@DIGEST]",
		Short: "Pull an image from a registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			ref, err := image.ParseReference(args[0])
			if err != nil {
				return err
			}
			named := strings.Contains(args[0][strings.LastIndexByte(args[0], '/')+1:], ":")
			if allTags {
				if named {
					return errors.New("tag can't be used with --all-tags/-a")
				}
				return app.pullAll(cmd.Context(), e, ref, platform, quiet)
			}
			if !named && !quiet {
				fmt.Fprintln(app.Stdout, "Using default tag: latest")
			}
			if err := app.pullImage(cmd.Context(), e, app.Stdout, ref, platform, quiet); err != nil {
				return err
			}
			_, err = fmt.Fprintln(app.Stdout, ref)
			return err
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	cmd.Flags().BoolVarP(&allTags, "all-tags", "a", false, "Pull all tags of the repository")
	cmd.Flags().StringVar(&platform, "platform", "", "The platform of the image, as os/architecture")
	cmd.Flags().Bool("disable-content-trust", true, "Accepted for compatibility")
	return cmd
}

func (app *App) pullAll(ctx context.Context, e *engine.Engine, ref image.Reference, platform string, quiet bool) error {
	tags, err := e.Images().RemoteTags(ctx, ref.Repository())
	if err != nil {
		return err
	}
	for _, tag := range tags {
		one, err := image.ParseReference(ref.Repository() + ":" + tag)
		if err != nil {
			return err
		}
		if err := app.pullImage(ctx, e, app.Stdout, one, platform, quiet); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(app.Stdout, strings.TrimSuffix(ref.String(), ":latest"))
	return err
}

// pullImage pulls an image and says what `docker pull` says of it.
func (app *App) pullImage(ctx context.Context, e *engine.Engine, w *os.File, ref image.Reference, platform string, quiet bool) error {
	before := ""
	if img, err := e.Images().Get(ctx, ref.String()); err == nil {
		before = img.ID
	}
	opts := image.PullOptions{Platform: platform}
	if !quiet {
		what := ref.Tag()
		if what == "" {
			what = ref.Digest()
		}
		fmt.Fprintf(w, "%s: Pulling from %s\n", what, ref.Path())
		layers := render.NewLayers(w, term.IsTerminal(int(w.Fd())))
		opts.Progress = func(p image.Progress) {
			if p.Layer != "" {
				layers.Set(p.Layer, p.Status, p.Current, p.Total)
			}
		}
	}
	img, err := e.Images().Pull(ctx, ref.String(), opts)
	if err != nil || quiet {
		return err
	}
	for _, d := range img.RepoDigests {
		if repository, digest, ok := strings.Cut(d, "@"); ok && repository == ref.Repository() {
			fmt.Fprintln(w, "Digest:", digest)
			break
		}
	}
	status := "Downloaded newer image for"
	if img.ID == before {
		status = "Image is up to date for"
	}
	_, err = fmt.Fprintln(w, "Status:", status, ref.Familiar())
	return err
}
