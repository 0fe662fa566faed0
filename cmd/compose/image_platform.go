package main

import (
	"context"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/spf13/cobra"

	"compose/engine/image"
	"compose/internal/lateinit"
)

// platformFlag adds --platform to a verb about images that are here. There is
// one platform of each name, so that it can only be confirmed.
func platformFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("platform", "", "Fail unless the image is of this platform, as os/architecture")
}

// ofPlatform fails unless the images are of the platform, if one is wanted.
func ofPlatform(ctx context.Context, store *image.Store, want string, refs ...string) error {
	if want == "" {
		return nil
	}
	lateinit.Open(lateinit.Platforms)
	p, err := platforms.Parse(want)
	if err != nil {
		return fmt.Errorf("invalid platform %q: write it as os/architecture, as linux/amd64 is", want)
	}
	for _, ref := range refs {
		img, err := store.Get(ctx, ref)
		if err != nil {
			return err
		}
		if !platforms.OnlyStrict(p).Match(img.Config.Platform) {
			return fmt.Errorf("image with reference %s was found but does not provide the specified platform (%s): it is for %s", ref, platforms.Format(p), platforms.Format(img.Config.Platform))
		}
	}
	return nil
}
