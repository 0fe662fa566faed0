package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/engine/image"
	"compose/internal/filelock"
)

// key is the identity of an operation and of all that it works on.
type key string

// makeKey digests the parts, each marked off from the next.
func makeKey(parts ...string) key {
	h := sha256.New()
	for _, p := range parts {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(p))
	}
	return key(hex.EncodeToString(h.Sum(nil)))
}

// record says what an operation gave: the layers it puts on its base.
type record struct {
	Version int     `json:"version"`
	Key     key     `json:"key"`
	Layers  []layer `json:"layers"`
}

const recordVersion = 1

func (b *Builder) recordPath(k key) string {
	return filepath.Join(b.roots.Build(), "cache", string(k[:2]), string(k[2:]))
}

// lookup finds what the operation gave before on top of a chain, here or
// wherever a cache is. Its files need not be here: see lostLayerError.
func (s *session) lookup(on digest.Digest, k key) ([]layer, bool) {
	layers, ok := s.known(k)
	if !ok || !s.usable(on, layers) {
		if layers, ok = s.foreign.records[k]; !ok || !s.usable(on, layers) {
			return nil, false
		}
	}
	s.gave(k, layers)
	return layers, true
}

// usable says whether layers belong on top of a chain, whatever a record says,
// and none of them is lost.
func (s *session) usable(on digest.Digest, layers []layer) bool {
	for _, l := range layers {
		if image.ChainID(on, l.DiffID) != l.ChainID || s.isLost(l.ChainID) {
			return false
		}
		on = l.ChainID
	}
	return true
}

// gave notes the result of an operation that this build is made of.
func (s *session) gave(k key, layers []layer) {
	s.mu.Lock()
	s.results[k] = layers
	s.mu.Unlock()
}

// known is what this host's own record says.
func (s *session) known(k key) ([]layer, bool) {
	data, err := os.ReadFile(s.recordPath(k))
	if err != nil {
		return nil, false
	}
	var r record
	// A record is not synced when it is written: after a power loss it may be
	// cut short, and that is a miss like any other.
	if json.Unmarshal(data, &r) != nil || r.Version != recordVersion || r.Key != k {
		return nil, false
	}
	return r.Layers, true
}

// slowStep is how long a step must have taken for its result to be made
// durable at once rather than at the end of the build.
const slowStep = time.Second

// remember keeps what an operation gave under one or more keys, at once, for
// others that build the same at this moment. The layers are made durable
// later: until then a record of them is worth nothing after a power loss, and
// the store knows that.
func (s *session) remember(took time.Duration, layers []layer, keys ...key) {
	var list []record
	for _, k := range keys {
		s.gave(k, layers)
		r := record{Version: recordVersion, Key: k, Layers: layers}
		if s.writeRecord(r) != nil {
			list = append(list, r) // the end of the build tries again and reports
		}
	}
	s.mu.Lock()
	s.pending = append(s.pending, list...)
	for _, l := range layers {
		s.unsynced = append(s.unsynced, l.Layer)
	}
	s.mu.Unlock()
	if took >= slowStep {
		_ = s.flush() // likewise
	}
}

// flush makes the new layers durable.
func (s *session) flush() error {
	s.mu.Lock()
	list, layers := s.pending, s.unsynced
	s.pending, s.unsynced = nil, nil
	s.mu.Unlock()
	if err := s.store.SyncLayers(layers); err != nil {
		s.mu.Lock()
		s.pending, s.unsynced = append(list, s.pending...), append(layers, s.unsynced...)
		s.mu.Unlock()
		return err
	}
	for _, r := range list {
		if err := s.writeRecord(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) writeRecord(r record) error {
	path := s.recordPath(r.Key)
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(s.top, "record-"+randomID())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// cached returns what the operation with this key gives, from memory of an
// earlier run or by make; on is the chain that it lies on. Several builds that
// need the same do it once; again is set where the step shall run whatever is
// known.
func (s *session) cached(ctx context.Context, v *vertex, on digest.Digest, k key, again bool, make func() ([]layer, error)) (layers []layer, hit bool, err error) {
	if !again {
		if layers, ok := s.lookup(on, k); ok {
			return layers, true, nil
		}
	}
	lock, err := s.lockKey(ctx, k)
	if err != nil {
		return nil, false, err
	}
	defer lock.Unlock()
	if !again {
		// Whoever had the lock may have done it meanwhile.
		if layers, ok := s.lookup(on, k); ok {
			return layers, true, nil
		}
	}
	s.missed(v)
	start := time.Now()
	if layers, err = make(); err != nil {
		return nil, false, err
	}
	s.remember(time.Since(start), layers, k)
	return layers, false, nil
}

// lockKey waits for the right to carry out the operation.
func (s *session) lockKey(ctx context.Context, k key) (*filelock.Lock, error) {
	path := filepath.Join(s.roots.Run, "build", string(k))
	lock, err := filelock.TryExclusive(path)
	if err != filelock.ErrHeld {
		return lock, err
	}
	type outcome struct {
		lock *filelock.Lock
		err  error
	}
	got := make(chan outcome, 1)
	go func() {
		l, err := filelock.Exclusive(path)
		got <- outcome{l, err}
	}()
	select {
	case o := <-got:
		return o.lock, o.err
	case <-ctx.Done():
		go func() { (<-got).lock.Unlock() }()
		return nil, context.Cause(ctx)
	}
}
