package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/buildkit/solver/pb"

	"compose/engine/build/fileop"
)

// mergeOp puts the layers of the inputs on top of each other (COPY --link). A
// layer's identity includes all that is below it, so layers that come to lie
// elsewhere are made again, out of hard links.
func (s *session) mergeOp(ctx context.Context, v *vertex, op *pb.MergeOp, in []*snapshot) (*snapshot, bool, error) {
	if len(op.Inputs) == 0 {
		return &snapshot{}, false, nil
	}
	base := in[op.Inputs[0].Input]
	parts := []string{"merge", base.chain().String()}
	var above []layer
	for _, i := range op.Inputs[1:] {
		if in[i.Input].dir != "" {
			return nil, false, errors.New("a merge of a directory of the host is not supported")
		}
		parts = append(parts, in[i.Input].chain().String())
		above = append(above, in[i.Input].layers...)
	}
	if len(base.layers) == 0 && len(op.Inputs) == 2 {
		return in[op.Inputs[1].Input], true, nil
	}
	layers, hit, err := s.cached(ctx, v, base.chain(), makeKey(parts...), v.meta.GetIgnoreCache(), func() ([]layer, error) {
		return s.restack(base, above)
	})
	if err != nil {
		return nil, false, err
	}
	return base.on(layers...), hit, nil
}

// restack makes layers like those given on top of base.
func (s *session) restack(base *snapshot, list []layer) ([]layer, error) {
	parent := base.chain()
	dirs, err := s.lowers(&snapshot{layers: list})
	if err != nil {
		return nil, err
	}
	slices.Reverse(dirs)
	var out []layer
	for i, l := range list {
		dir := dirs[i]
		w, err := s.newScratch()
		if err != nil {
			return nil, err
		}
		if err := linkTree(dir, w.upper); err != nil {
			w.remove()
			return nil, err
		}
		made, err := s.commit(parent, w.upper)
		w.remove()
		if err != nil {
			return nil, err
		}
		made.Created = l.Created
		out = append(out, made)
		parent = made.ChainID
	}
	return out, nil
}

func linkTree(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Open(filepath.Clean(to))
	if err != nil {
		return err
	}
	defer target.Close()
	return fileop.Link(int(source.Fd()), int(target.Fd()))
}

// diffOp takes the layers of the lower input off the upper one.
func (s *session) diffOp(ctx context.Context, v *vertex, op *pb.DiffOp, in []*snapshot) (*snapshot, bool, error) {
	pick := func(i int64) *snapshot {
		if i < 0 {
			return &snapshot{}
		}
		return in[i]
	}
	lower, upper := pick(op.GetLower().GetInput()), pick(op.GetUpper().GetInput())
	if lower.dir != "" || upper.dir != "" || len(lower.layers) > len(upper.layers) {
		return nil, false, errors.New("this difference of file systems is not supported: one has to be made from the other")
	}
	for i, l := range lower.layers {
		if upper.layers[i].ChainID != l.ChainID {
			return nil, false, errors.New("this difference of file systems is not supported: one has to be made from the other")
		}
	}
	rest := upper.layers[len(lower.layers):]
	layers, hit, err := s.cached(ctx, v, "", makeKey("diff", lower.chain().String(), upper.chain().String()), v.meta.GetIgnoreCache(), func() ([]layer, error) {
		return s.restack(&snapshot{}, rest)
	})
	if err != nil {
		return nil, false, err
	}
	return (&snapshot{}).on(layers...), hit, nil
}
