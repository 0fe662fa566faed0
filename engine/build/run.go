package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"google.golang.org/protobuf/proto"
)

// run carries out one vertex and tells of it.
func (s *session) run(ctx context.Context, v *vertex) (*snapshot, error) {
	in, err := s.inputs(ctx, v)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	v.task.start()
	var out *snapshot
	hit := false
	switch op := v.op.Op.(type) {
	case *pb.Op_Source:
		out, hit, err = s.sourceOp(ctx, v, op.Source)
	case *pb.Op_Exec:
		out, hit, err = s.execOp(ctx, v, op.Exec, in)
	case *pb.Op_File:
		out, hit, err = s.fileOp(ctx, v, op.File, in)
	case *pb.Op_Merge:
		out, hit, err = s.mergeOp(ctx, v, op.Merge, in)
	case *pb.Op_Diff:
		out, hit, err = s.diffOp(ctx, v, op.Diff, in)
	default:
		err = fmt.Errorf("operations of type %T are not supported", op)
	}
	if err != nil {
		err = s.explain(ctx, v, err)
	}
	v.task.end(hit, err)
	return out, err
}

// explain says which instruction of the Dockerfile an error is about.
func (s *session) explain(ctx context.Context, v *vertex, err error) error {
	if cause := context.Cause(ctx); cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cause)) {
		return cause
	}
	first, last := lines(v.source)
	e := &StepError{File: s.file, Source: s.source, Line: first, EndLine: last, Step: v.task.name, Err: err}
	if op := v.op.GetExec(); op != nil {
		e.Command = strings.Join(op.Meta.Args, " ")
		v.task.mu.Lock()
		e.Output = v.task.tail.lines()
		v.task.mu.Unlock()
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		e.ExitCode = exit.Code
	}
	// Paths of this host's own doing mean nothing to the reader.
	if strings.Contains(err.Error(), s.top) {
		e.Err = &relabelled{strings.ReplaceAll(err.Error(), s.top+string(os.PathSeparator), ""), err}
	}
	return e
}

type relabelled struct {
	text string
	err  error
}

func (r *relabelled) Error() string { return r.text }
func (r *relabelled) Unwrap() error { return r.err }

// opBytes is the operation without its inputs, for keys.
func opBytes(op *pb.Op, edit func(*pb.Op)) (string, error) {
	op = op.CloneVT()
	op.Inputs, op.Constraints = nil, nil
	if edit != nil {
		edit(op)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(op)
	return string(data), err
}
