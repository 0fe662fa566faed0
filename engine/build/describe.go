package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/subrequests/outline"
	"github.com/moby/buildkit/frontend/subrequests/targets"
)

// Describe writes to w what a Dockerfile offers, and builds nothing: what is
// "outline", the arguments, secrets and such that the target takes, or
// "targets", its stages; for people, or as JSON.
func (b *Builder) Describe(ctx context.Context, opts Options, what string, asJSON bool, w io.Writer) error {
	return b.read(ctx, opts, func(s *session, convert dockerfile2llb.ConvertOpt) error {
		var found any
		var print func([]byte, io.Writer) error
		var err error
		switch what {
		case "outline":
			found, err = dockerfile2llb.Dockerfile2Outline(ctx, s.source, convert)
			print = outline.PrintOutline
		case "targets":
			found, err = dockerfile2llb.ListTargets(ctx, s.source)
			print = targets.PrintTargets
		default:
			return fmt.Errorf("there is no %q of a Dockerfile; there are outline and targets", what)
		}
		if err != nil {
			return located(err, s.file, s.source)
		}
		data, err := json.MarshalIndent(found, "", "  ")
		if err != nil {
			return err
		}
		if asJSON {
			_, err = fmt.Fprintf(w, "%s\n", data)
			return err
		}
		return print(data, w)
	})
}
