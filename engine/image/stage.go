package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"compose/internal/fault"
	"compose/internal/statefile"
)

// A build makes many layers in a row. Each is usable at once but not yet
// durable: the file "unsynced" beside it names the boot in which it was made,
// and a layer that still has it after the next boot counts as not there.
// SyncLayers makes all of them durable in one go.
const unsynced = "unsynced"

// survived says whether a layer directory's content can be relied on.
func (s *Store) survived(dir string) bool {
	boot, err := os.ReadFile(filepath.Join(dir, unsynced))
	return err != nil || string(boot) == statefile.Boot()
}

// StageLayer is CommitLayer but for durability, which SyncLayers brings.
func (s *Store) StageLayer(_ context.Context, parent digest.Digest, upper string) (Layer, error) {
	tmp, l, err := s.takeOver(parent, upper)
	if err != nil {
		return Layer{}, err
	}
	if err := s.place(tmp, l); err != nil {
		_ = os.RemoveAll(tmp)
		return Layer{}, fmt.Errorf("store the layer: %w", err)
	}
	return l, nil
}

func (s *Store) place(tmp string, l Layer) error {
	if _, ok := s.LayerByChainID(l.ChainID); ok {
		return os.RemoveAll(tmp)
	}
	info, err := json.Marshal(layerInfo{1, l})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "layer.json"), info, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, unsynced), []byte(statefile.Boot()), 0o600); err != nil {
		return err
	}
	return s.giveName(tmp, l)
}

// giveName moves a finished layer directory to its place, unless another has
// been faster.
func (s *Store) giveName(tmp string, l Layer) error {
	final := filepath.Join(s.layers, layerName(l.ChainID))
	fault.Point("image: layer ready")
	err := os.Rename(tmp, final)
	fault.Point("image: layer there")
	if !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	if _, here := s.LayerByChainID(l.ChainID); here {
		return os.RemoveAll(tmp)
	}
	// What an earlier boot left is of no use, nor is a layer without files.
	if err := s.dropLayer(Layer{ChainID: l.ChainID}); err != nil {
		return err
	}
	return os.Rename(tmp, final)
}

// SyncLayers makes staged layers durable.
func (s *Store) SyncLayers(layers []Layer) error {
	var marks []string
	for _, l := range layers {
		mark := filepath.Join(s.layers, layerName(l.ChainID), unsynced)
		if _, err := os.Lstat(mark); err == nil {
			marks = append(marks, mark)
		}
	}
	if len(marks) == 0 {
		return nil
	}
	if err := syncFS(s.layers); err != nil {
		return fmt.Errorf("write the layers to disk: %w", err)
	}
	for _, mark := range marks {
		if err := os.Remove(mark); err != nil && !os.IsNotExist(err) {
			return err
		}
		// Lest a mark comes back and says that a layer is not there.
		if err := statefile.SyncDir(filepath.Dir(mark)); err != nil {
			return err
		}
	}
	return nil
}

// RawConfig is an image's configuration as it is stored, with what Docker adds
// to the OCI format: the healthcheck, the shell, the triggers.
func (s *Store) RawConfig(img *Image) ([]byte, error) {
	data, err := os.ReadFile(s.blobPath(digest.Digest(img.ID)))
	if err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", shortID(img.ID), err)
	}
	return data, nil
}

// CreateRawImage stores a configuration as it is, whose rootfs has to list the
// layers, and points the names at it. The layers have to be durable.
func (s *Store) CreateRawImage(ctx context.Context, raw []byte, layers []Layer, tags []string) (*Image, error) {
	var config ocispec.Image
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("the image configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return nil, fmt.Errorf("the image configuration lists %d layers, %d were given", len(config.RootFS.DiffIDs), len(layers))
	}
	return s.put(ctx, raw, config, layers, tags, "", nil)
}
