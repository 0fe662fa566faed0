package image

import (
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image/unpack"
)

func img0() ocispec.Image { return ocispec.Image{Platform: hostPlatform()} }

func unpackArchive(dir string, to io.Writer) (int64, error) { return unpack.Archive(dir, to) }
