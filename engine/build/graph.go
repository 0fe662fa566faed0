package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// vertex is one operation of the graph.
type vertex struct {
	digest digest.Digest
	op     *pb.Op
	meta   *pb.OpMetadata
	source *pb.Locations
	inputs []*vertex
	task   *task // what is shown of it

	once   sync.Once
	done   chan struct{}
	result *snapshot
	err    error
}

func (v *vertex) name() string {
	if n := v.meta.GetDescription()["llb.customname"]; n != "" {
		return n
	}
	switch op := v.op.Op.(type) {
	case *pb.Op_Source:
		return op.Source.Identifier
	case *pb.Op_Exec:
		return strings.Join(op.Exec.Meta.Args, " ")
	case *pb.Op_File:
		return "file operations"
	case *pb.Op_Merge:
		return "merge"
	case *pb.Op_Diff:
		return "diff"
	}
	return "unknown operation"
}

// load reads a definition and returns the vertex that it is about, or nil for
// an empty one, which stands for no files at all. Vertices that this build
// has met before are the same ones.
func (s *session) load(def *pb.Definition) (*vertex, error) {
	if len(def.GetDef()) == 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *pb.Op
	for _, raw := range def.Def {
		op := &pb.Op{}
		if err := op.UnmarshalVT(raw); err != nil {
			return nil, fmt.Errorf("read the build graph: %w", err)
		}
		last = op
		sum := sha256.Sum256(raw)
		d := digest.NewDigestFromBytes(digest.SHA256, sum[:])
		if op.Op == nil || s.vertices[d] != nil {
			continue
		}
		v := &vertex{digest: d, op: op, meta: def.Metadata[d.String()], source: def.GetSource().GetLocations()[d.String()], done: make(chan struct{})}
		for _, in := range op.Inputs {
			input := s.vertices[digest.Digest(in.Digest)]
			if input == nil || in.Index != 0 {
				return nil, errors.New("the build graph refers to an operation that it does not have")
			}
			v.inputs = append(v.inputs, input)
		}
		v.task = s.taskOf(v)
		s.vertices[d] = v
	}
	if len(last.Inputs) == 0 {
		return nil, nil
	}
	return s.vertices[digest.Digest(last.Inputs[0].Digest)], nil
}

// solve returns what v comes to; it is worked out once. Nil stands for no
// files, and that is what it gives.
func (s *session) solve(ctx context.Context, v *vertex) (*snapshot, error) {
	if v == nil {
		return &snapshot{}, nil
	}
	v.once.Do(func() {
		s.work.Add(1)
		go func() {
			defer s.work.Done()
			defer close(v.done)
			v.result, v.err = s.run(s.ctx, v)
			if v.err != nil {
				s.cancel(v.err)
			}
		}()
	})
	select {
	case <-v.done:
		return v.result, v.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// inputs solves all inputs of v side by side.
func (s *session) inputs(ctx context.Context, v *vertex) ([]*snapshot, error) {
	for _, in := range v.inputs[min(1, len(v.inputs)):] {
		go s.solve(ctx, in)
	}
	out := make([]*snapshot, len(v.inputs))
	for i, in := range v.inputs {
		var err error
		if out[i], err = s.solve(ctx, in); err != nil {
			return nil, err
		}
	}
	return out, nil
}
