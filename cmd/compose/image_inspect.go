package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"compose/engine"
)

// imageInfo is an image as `image inspect` describes it.
type imageInfo struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Comment      string `json:",omitempty"`
	Created      string
	Author       string `json:",omitempty"`
	Architecture string
	Variant      string `json:",omitempty"`
	Os           string
	Size         int64
	Config       any
	GraphDriver  graphDriver
	RootFS       rootFS
	Metadata     map[string]any
}

type graphDriver struct {
	Name string
	Data map[string]string
}

type rootFS struct {
	Type   string
	Layers []digest.Digest
}

func inspectImage(ctx context.Context, e *engine.Engine, ref string) (any, error) {
	img, err := e.Images().Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	raw, err := e.Images().RawConfig(img)
	if err != nil {
		return nil, err
	}
	// With what Docker adds to the OCI's configuration.
	var config struct {
		Config map[string]any `json:"config"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, err
	}
	info := &imageInfo{
		ID: img.ID, RepoTags: orEmpty(img.RepoTags), RepoDigests: orEmpty(img.RepoDigests), Created: img.Created.UTC().Format(time.RFC3339Nano),
		Author: img.Config.Author, Architecture: img.Config.Architecture, Variant: img.Config.Variant, Os: img.Config.OS, Size: img.Size,
		Config: config.Config, GraphDriver: graphDriver{Name: "overlay2", Data: map[string]string{}},
		RootFS: rootFS{Type: "layers", Layers: img.Config.RootFS.DiffIDs}, Metadata: map[string]any{},
	}
	if n := len(img.Config.History); n > 0 {
		info.Comment = img.Config.History[n-1].Comment
	}
	return info, nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func newImageInspectCommand(app *App) *cobra.Command {
	var format string
	var platform *string
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] IMAGE [IMAGE...]",
		Short: "Describe images in full",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			if err := ofPlatform(cmd.Context(), e.Images(), *platform, args...); err != nil {
				return err
			}
			return app.inspectAll(args, format, func(ref string) (any, error) { return inspectImage(cmd.Context(), e, ref) })
		},
	}
	platform = platformFlag(cmd)
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	return cmd
}
