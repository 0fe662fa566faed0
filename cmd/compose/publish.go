package main

import (
	"errors"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newPublishCommand(app *App) *cobra.Command {
	var opts orchestrator.PublishOptions
	var yes bool
	cmd := &cobra.Command{
		Use:   "publish [OPTIONS] REPOSITORY[:TAG]",
		Short: "Store the project's files in a registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := app.load(cmd.Context(), nil)
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			opts.Confirm = func(question string) (bool, error) {
				if yes {
					return true, nil
				}
				return confirm(app, question)
			}
			err = s.Publish(cmd.Context(), p.Project, args[0], opts)
			if errors.Is(err, orchestrator.ErrDeclined) {
				return exitWith(interruptedCode)
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&opts.Digests, "resolve-image-digests", false, "Pin the images to their digests")
	fl.StringVar(&opts.OCIVersion, "oci-version", "", "Of the artifact: 1.0 or 1.1 (default: what the registry takes)")
	fl.BoolVar(&opts.WithEnv, "with-env", false, "Publish the environment files too")
	fl.BoolVar(&opts.App, "app", false, "Also copy the images into the repository")
	fl.BoolVarP(&yes, "yes", "y", false, "Answer yes to all questions")
	fl.Bool("insecure-registry", false, "No effect: daemon.json names registries without TLS")
	_ = fl.MarkHidden("insecure-registry") // the flag exists
	return cmd
}
