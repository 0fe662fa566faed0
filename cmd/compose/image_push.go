package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/image"
)

func newImagePushCommand(app *App) *cobra.Command {
	var quiet, allTags bool
	var platform *string
	cmd := &cobra.Command{
		Use:   "push [OPTIONS] NAME[:TAG]",
		Short: "Push an image to a registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			if !allTags {
				if err := ofPlatform(cmd.Context(), e.Images(), *platform, args[0]); err != nil {
					return err
				}
				return app.push(cmd.Context(), e, args[0], quiet)
			}
			list, err := e.Images().List(cmd.Context())
			if err != nil {
				return err
			}
			found := false
			for _, img := range list {
				for _, tag := range img.RepoTags {
					if repo := tag[:strings.LastIndexByte(tag, ':')]; repo != args[0] {
						continue
					}
					found = true
					if err := ofPlatform(cmd.Context(), e.Images(), *platform, tag); err != nil {
						return err
					}
					if err := app.push(cmd.Context(), e, tag, quiet); err != nil {
						return err
					}
				}
			}
			if !found {
				return fmt.Errorf("An image does not exist locally with the tag: %s", args[0]) //lint:ignore ST1005 Docker's own words
			}
			return nil
		},
	}
	platform = platformFlag(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	cmd.Flags().BoolVarP(&allTags, "all-tags", "a", false, "Push all tags of a repository")
	cmd.Flags().Bool("disable-content-trust", true, "Accepted for compatibility")
	return cmd
}

func (app *App) push(ctx context.Context, e *engine.Engine, ref string, quiet bool) error {
	parsed, err := image.ParseReference(ref)
	if err != nil {
		return err
	}
	opts := image.PushOptions{}
	if !quiet {
		repository, _, _ := strings.Cut(parsed.String(), ":"+parsed.Tag())
		fmt.Fprintf(app.Stdout, "The push refers to repository [%s]\n", repository)
		layers := render.NewLayers(app.Stdout, term.IsTerminal(int(app.Stdout.Fd())))
		opts.Progress = func(p image.Progress) { layers.Set(p.Layer, p.Status, p.Current, p.Total) }
	}
	done, err := e.Images().Push(ctx, ref, opts)
	if err != nil {
		return err
	}
	if quiet {
		_, err = fmt.Fprintln(app.Stdout, parsed.String())
		return err
	}
	_, err = fmt.Fprintf(app.Stdout, "%s: digest: %s size: %d\n", parsed.Tag(), done.Digest, done.Size)
	return err
}
