package build

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/moby/buildkit/solver/pb"

	"compose/engine/build/fileop"
	"compose/engine/runtime"
)

// fileOp carries out a chain of file actions on top of one input.
func (s *session) fileOp(ctx context.Context, v *vertex, op *pb.FileOp, in []*snapshot) (*snapshot, bool, error) {
	base, err := fileBase(op, in)
	if err != nil {
		return nil, false, err
	}
	what, err := opBytes(v.op, nil)
	if err != nil {
		return nil, false, err
	}
	quick, exact := []string{"file", what, base.chain().String(), s.epochKey()}, []string{"file content", what, base.chain().String(), s.epochKey()}
	known := true // quick tells what is copied from each input
	for _, a := range op.Actions {
		if a.GetCopy() == nil {
			continue
		}
		from := in[a.SecondaryInput]
		id, ok := from.identity()
		if s.epoch != nil && from.dir != "" {
			ok = false // it says nothing of the file's time
		}
		known = known && ok
		quick = append(quick, id)
	}
	var quickKey key
	if known {
		quickKey = makeKey(quick...)
		if layers, ok := s.lookup(base.chain(), quickKey); ok && !v.meta.GetIgnoreCache() {
			return base.on(layers...), true, nil
		}
	}
	for _, a := range op.Actions {
		if c := a.GetCopy(); c != nil {
			sum, err := s.hash(ctx, in[a.SecondaryInput], c)
			if err != nil {
				return nil, false, err
			}
			exact = append(exact, hex.EncodeToString(sum[:]))
		}
	}
	layers, hit, err := s.cached(ctx, v, base.chain(), makeKey(exact...), v.meta.GetIgnoreCache(), func() ([]layer, error) {
		l, err := s.change(base, func(root runtime.RootFS) error {
			return edit(root, func(top int) error { return s.actions(ctx, top, op, in) })
		})
		return []layer{l}, err
	})
	if err != nil {
		return nil, false, err
	}
	if known {
		s.remember(0, layers, quickKey)
	}
	return base.on(layers...), hit, nil
}

// fileBase checks that the actions are one chain, as the Dockerfile frontend
// makes them, and returns what the first one works on.
func fileBase(op *pb.FileOp, in []*snapshot) (*snapshot, error) {
	unsupported := errors.New("this arrangement of file actions is not supported")
	if len(op.Actions) == 0 {
		return nil, unsupported
	}
	base := &snapshot{}
	for i, a := range op.Actions {
		switch {
		case i > 0 && a.Input != int64(len(in)+i-1):
			return nil, unsupported
		case i == 0 && a.Input >= int64(len(in)), i == 0 && a.Input < -1:
			return nil, unsupported
		case i == 0 && a.Input >= 0:
			base = in[a.Input]
		}
		if c := a.GetCopy(); c != nil && (a.SecondaryInput < 0 || a.SecondaryInput >= int64(len(in))) {
			return nil, unsupported
		}
		if want := pb.OutputIndex(-1); i < len(op.Actions)-1 && a.Output != int64(want) || i == len(op.Actions)-1 && a.Output != 0 {
			return nil, unsupported
		}
	}
	if base.dir != "" {
		return nil, unsupported
	}
	return base, nil
}

// hash is the digest of what a copy takes.
func (s *session) hash(ctx context.Context, from *snapshot, c *pb.FileActionCopy) (sum fileop.Sum, err error) {
	err = s.read(from, func(t fileop.Tree) error {
		sum, err = fileop.Hash(ctx, t, c, s.summer(from))
		return err
	})
	return sum, err
}

// summer digests files of a snapshot: those of a context have an index.
func (s *session) summer(from *snapshot) fileop.Summer {
	if from.dir != "" && from.id == "" {
		return s.indexOf(from.dir)
	}
	return fileop.Read{}
}

// actions carries the actions out below the open directory top.
func (s *session) actions(ctx context.Context, top int, op *pb.FileOp, in []*snapshot) error {
	for _, a := range op.Actions {
		if err := s.action(ctx, top, a, in); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) action(ctx context.Context, top int, a *pb.FileAction, in []*snapshot) error {
	switch a := a.Action.(type) {
	case *pb.FileAction_Mkdir:
		owner, err := fileop.LookupOwner(top, a.Mkdir.Owner)
		if err != nil {
			return err
		}
		return fileop.Mkdir(top, a.Mkdir, owner)
	case *pb.FileAction_Mkfile:
		owner, err := fileop.LookupOwner(top, a.Mkfile.Owner)
		if err != nil {
			return err
		}
		return fileop.Mkfile(top, a.Mkfile, owner)
	case *pb.FileAction_Symlink:
		owner, err := fileop.LookupOwner(top, a.Symlink.Owner)
		if err != nil {
			return err
		}
		return fileop.Symlink(top, a.Symlink, owner)
	case *pb.FileAction_Rm:
		return fileop.Remove(top, a.Rm)
	case *pb.FileAction_Copy:
	default:
		return fmt.Errorf("file actions of type %T are not supported", a)
	}
	c := a.GetCopy()
	owner, err := fileop.LookupOwner(top, c.Owner)
	if err != nil {
		return err
	}
	return s.read(in[a.SecondaryInput], func(t fileop.Tree) error {
		return fileop.Copy(ctx, t, top, c, owner)
	})
}
