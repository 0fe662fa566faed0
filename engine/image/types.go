// Package image keeps the images of one host: content-addressed blobs,
// unpacked layers by chain ID, and the names that point to images. It follows
// the OCI image specification and reads Docker's formats as well.
//
// On disk, below the state root: images/index.json has the names and the
// records of all images, images/blobs/sha256 has configurations, manifests and
// the compressed layers that were pulled, and layers/<short> one unpacked
// layer each, in overlayfs' own form. Blobs and layers appear whole, by
// rename, and never change.
package image

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image of this host.
type Image struct {
	ID          string // sha256:<digest of the configuration>
	RepoTags    []string
	RepoDigests []string
	Config      ocispec.Image
	Layers      []Layer // the bottom one first
	Size        int64   // bytes, of all layers unpacked
	Created     time.Time
	Platform    string // "linux/amd64"
	Health      *Health
	Tagged      time.Time // when it was last pulled, built or loaded
	LoadedTags  []string  // of one that Load returns: the names that it came with
}

// Health is Docker's healthcheck in an image's configuration, which the OCI's
// does not have.
type Health struct {
	Test          []string
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// Layer is one unpacked layer.
type Layer struct {
	Digest    digest.Digest `json:"digest,omitempty"` // of the compressed blob; empty for a layer made here
	DiffID    digest.Digest `json:"diff_id"`
	ChainID   digest.Digest `json:"chain_id"`
	Size      int64         `json:"size"` // bytes, unpacked
	MediaType string        `json:"media_type,omitempty"`
}

// Progress is one step of one layer on its way here.
type Progress struct {
	Ref     string
	Layer   string // the first 12 digits of the blob's digest; "" for the image as a whole
	Status  string // Docker's words: "Pulling fs layer", "Downloading", "Extracting", "Pull complete", "Already exists"
	Current int64
	Total   int64
}

// NotFoundError says that this host has no such image.
type NotFoundError struct{ Ref string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("No such image: %s", e.Ref) }

// Is lets errors.Is match fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// InUseError says that an image cannot go because something needs it.
type InUseError struct {
	Ref, ID string
	By      []string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("conflict: unable to remove %s (must be forced) - image %s is being used by container %s", e.Ref, shortID(e.ID), e.By[0])
}

// record is an image as the index keeps it.
type record struct {
	Layers   []Layer   `json:"layers"`
	Created  time.Time `json:"created"`
	Digests  []string  `json:"digests,omitempty"` // repository@sha256:...
	Manifest string    `json:"manifest,omitempty"`
	Tagged   time.Time `json:"tagged,omitzero"`
}

// index is images/index.json.
type index struct {
	Version int                `json:"version"`
	Images  map[string]*record `json:"images"` // by ID
	Tags    map[string]string  `json:"tags"`   // full reference -> ID
}

func shortID(id string) string {
	if d, err := digest.Parse(id); err == nil {
		return d.Encoded()[:12]
	}
	return id
}
