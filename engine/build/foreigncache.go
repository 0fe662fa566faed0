package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image"
)

// cacheType is the media type of cacheConfig. It is not BuildKit's: the keys
// are of another making, and neither builder could use the other's.
const cacheType = "application/vnd.compose.buildcache.v1+json"

// cacheConfig is what a cache outside of this host says of its layers.
type cacheConfig struct {
	Layers  []cacheLayer  `json:"layers"`
	Records []cacheRecord `json:"records"`
}

// cacheLayer is one layer. Without a blob it is one that nobody kept the files
// of: that it is known saves the steps on top of it.
type cacheLayer struct {
	Blob    digest.Digest `json:"blob,omitempty"`
	Parent  digest.Digest `json:"parent,omitempty"` // chain ID
	DiffID  digest.Digest `json:"diff_id"`
	Size    int64         `json:"size"` // bytes, unpacked
	Created time.Time     `json:"created,omitzero"`
}

// cacheRecord says what an operation gave: indexes of layers.
type cacheRecord struct {
	Key    key   `json:"key"`
	Layers []int `json:"layers"`
}

// foreignCache is what caches outside of this host know.
type foreignCache struct {
	records map[key][]layer
	blobs   map[digest.Digest]foreignBlob // by chain ID
	parents map[digest.Digest]digest.Digest
}

type foreignBlob struct {
	from   *image.Artifact
	digest digest.Digest
}

// lostLayerError says that the files of a known result are not here, as nobody
// needed them or somebody pruned them, and cannot be had.
type lostLayerError struct {
	chain digest.Digest
	cause error
}

func (e *lostLayerError) Error() string {
	return fmt.Sprintf("fetch layer %s from the build cache: %v", e.chain, e.cause)
}
func (e *lostLayerError) Unwrap() error { return e.cause }

// importCaches reads what the caches know. One that cannot be read is told of
// and does without: nothing depends on it but time.
func (s *session) importCaches(ctx context.Context) {
	for _, ref := range s.opts.CacheFrom {
		t := s.step("importing cache manifest from " + ref.String())
		t.start()
		err := s.importCache(ctx, ref)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("not found")
		}
		t.end(false, err)
	}
}

func (s *session) importCache(ctx context.Context, ref CacheRef) error {
	place, err := s.place(ctx, ref, false)
	if err != nil {
		return err
	}
	a, err := image.ReadArtifact(ctx, place)
	if err != nil {
		return err
	}
	if a.Type != cacheType {
		return errors.New("it is not a build cache of this builder")
	}
	var c cacheConfig
	if err := json.Unmarshal(a.Config, &c); err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	return s.foreign.add(a, &c)
}

func (s *session) place(ctx context.Context, ref CacheRef, write bool) (image.Place, error) {
	if ref.Dir != "" {
		return image.LayoutPlace(ref.Dir, ref.Tag), nil
	}
	return s.store.RegistryPlace(ctx, ref.Ref, write)
}

// add takes over what a cache says. A chain ID is worked out, not believed: a
// layer that is fetched is what its name says, whoever has sent it.
func (f *foreignCache) add(a *image.Artifact, c *cacheConfig) error {
	if f.records == nil {
		f.records, f.blobs, f.parents = map[key][]layer{}, map[digest.Digest]foreignBlob{}, map[digest.Digest]digest.Digest{}
	}
	layers := make([]layer, len(c.Layers))
	for i, l := range c.Layers {
		if l.DiffID.Validate() != nil || l.Parent != "" && l.Parent.Validate() != nil || l.Size < 0 {
			return fmt.Errorf("its layer %d is not valid", i)
		}
		chain := image.ChainID(l.Parent, l.DiffID)
		layers[i] = layer{Layer: image.Layer{DiffID: l.DiffID, ChainID: chain, Size: l.Size}, Created: l.Created}
		f.parents[chain] = l.Parent
		if _, ok := a.Blobs[l.Blob]; ok {
			f.blobs[chain] = foreignBlob{a, l.Blob}
		}
	}
	for _, r := range c.Records {
		var result []layer
		for _, at := range r.Layers {
			if at < 0 || at >= len(layers) {
				return errors.New("a record of it refers to a layer that it does not have")
			}
			result = append(result, layers[at])
		}
		if _, ok := f.records[r.Key]; !ok {
			f.records[r.Key] = result
		}
	}
	return nil
}

// fetchLayer brings a layer here. Where it cannot be had, the error is a
// *lostLayerError, once.
func (s *session) fetchLayer(l layer) error {
	lock, err := s.lockKey(s.ctx, key("layer-"+l.ChainID.Encoded()))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	err = fs.ErrNotExist
	if blob, ok := s.foreign.blobs[l.ChainID]; ok {
		err = s.store.FetchLayer(s.ctx, blob.from, blob.digest, l.Layer)
	}
	if err == nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost[l.ChainID] {
		return &image.NotFoundError{Ref: "layer " + l.ChainID.String()}
	}
	s.lost[l.ChainID] = true
	return &lostLayerError{l.ChainID, err}
}

// isLost says that a layer is not here and cannot be had.
func (s *session) isLost(chain digest.Digest) bool {
	s.mu.Lock()
	lost := s.lost[chain]
	s.mu.Unlock()
	if !lost {
		return false
	}
	_, here := s.store.LayerByChainID(chain)
	return !here
}

// again makes the session ready to work the graph out once more.
func (s *session) again(ctx context.Context) {
	s.cancel(context.Canceled)
	s.work.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vertices = map[digest.Digest]*vertex{}
	expected := 0
	for _, is := range s.coming {
		if is {
			expected++
		}
	}
	clear(s.coming)
	s.steps.Expect(-expected)
	s.ctx, s.cancel = context.WithCancelCause(ctx)
}

// keepForeign records what came from elsewhere, so that the next build needs
// to ask nobody.
func (s *session) keepForeign() {
	for k, layers := range s.results {
		if _, ok := s.foreign.records[k]; ok {
			_ = s.writeRecord(record{Version: recordVersion, Key: k, Layers: layers}) // it may be asked for again
		}
	}
}

// exportCaches leaves what this build knows at the places it is told.
func (s *session) exportCaches(ctx context.Context, snap *snapshot) error {
	for _, ref := range s.opts.CacheTo {
		t := s.step("exporting cache to " + ref.kind() + " " + ref.String())
		t.start()
		d, err := s.exportCache(ctx, ref, snap)
		if err == nil {
			t.status(Status{ID: "writing cache manifest " + d.String(), Text: "done", Done: true})
		}
		t.end(false, err)
		if err != nil && !ref.IgnoreError {
			return fmt.Errorf("export the build cache to %s: %w", ref, err)
		}
	}
	return nil
}

func (s *session) exportCache(ctx context.Context, ref CacheRef, snap *snapshot) (digest.Digest, error) {
	place, err := s.place(ctx, ref, true)
	if err != nil {
		return "", err
	}
	wanted := map[digest.Digest]bool{}
	for _, l := range snap.layers {
		wanted[l.ChainID] = true
	}
	s.mu.Lock()
	keys := make([]key, 0, len(s.results))
	for k := range s.results {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return strings.Compare(string(a), string(b)) })
	parents := s.parents()
	s.mu.Unlock()
	var c cacheConfig
	var send []image.Layer
	var sent []int // of c.Layers
	at := map[digest.Digest]int{}
	for _, k := range keys {
		r := cacheRecord{Key: k, Layers: []int{}}
		for _, l := range s.results[k] {
			i, ok := at[l.ChainID]
			if !ok {
				i = len(c.Layers)
				at[l.ChainID] = i
				c.Layers = append(c.Layers, cacheLayer{Parent: parents[l.ChainID], DiffID: l.DiffID, Size: l.Size, Created: l.Created})
				if ref.Max || wanted[l.ChainID] {
					if _, err := s.lowers(&snapshot{layers: []layer{l}}); err == nil {
						send, sent = append(send, l.Layer), append(sent, i)
					}
				}
			}
			r.Layers = append(r.Layers, i)
		}
		c.Records = append(c.Records, r)
	}
	return s.store.WriteArtifact(ctx, place, cacheType, send, func(blobs []ocispec.Descriptor) ([]byte, error) {
		for i, b := range blobs {
			c.Layers[sent[i]].Blob = b.Digest
		}
		return json.Marshal(c)
	})
}

// parents are the chain IDs below those of all results. The session is locked.
func (s *session) parents() map[digest.Digest]digest.Digest {
	out := map[digest.Digest]digest.Digest{}
	for chain, parent := range s.foreign.parents {
		out[chain] = parent
	}
	for _, v := range s.vertices {
		if v.result == nil {
			continue
		}
		for i, l := range v.result.layers {
			if i > 0 {
				out[l.ChainID] = v.result.layers[i-1].ChainID
			}
		}
	}
	return out
}
