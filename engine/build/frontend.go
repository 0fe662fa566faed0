package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/moby/buildkit/util/archiveutil"
	"github.com/opencontainers/go-digest"
	fstypes "github.com/tonistiigi/fsutil/types"
	"golang.org/x/sys/unix"

	"compose/engine/build/fileop"
	"compose/internal/lateinit"
)

// frontendClient is what BuildKit's Dockerfile frontend asks while it makes
// the graph: which contexts have names, and what is in their files.
type frontendClient struct {
	s    *session
	opts map[string]string
}

// The names of directories in the graph, and of what marks those of named
// contexts.
const (
	contextName    = dockerui.DefaultLocalNameContext
	dockerfileName = dockerui.DefaultLocalNameDockerfile
	archiveName    = "archive"
	namedPrefix    = "named-"
)

// maxFile bounds what the frontend reads of a file, in bytes.
const maxFile = 4 << 20

// newFrontend tells BuildKit's frontend of the build's contexts in its own way.
func (s *session) newFrontend() (*dockerui.Client, error) {
	opts := map[string]string{}
	if err := s.mainContext(opts); err != nil {
		return nil, err
	}
	for name, where := range s.opts.Contexts {
		switch {
		case strings.HasPrefix(where, "docker-image://"), IsRemote(where):
		case strings.HasPrefix(where, "oci-layout://"):
			return nil, fmt.Errorf("build context %s: oci-layout is not supported; load the image and use docker-image://", name)
		default:
			dir, err := contextDir(where)
			if err != nil {
				return nil, fmt.Errorf("build context %s: %w", name, err)
			}
			s.dirs[namedPrefix+name] = dir
			where = "local:" + namedPrefix + name
		}
		opts["context:"+name] = where
	}
	switch {
	case s.opts.NoCache:
		opts["no-cache"] = ""
	case len(s.opts.NoCacheFilter) > 0:
		opts["no-cache"] = strings.Join(s.opts.NoCacheFilter, ",")
	}
	return dockerui.NewClient(&frontendClient{s: s, opts: opts})
}

// mainContext says where the main context and the Dockerfile are.
func (s *session) mainContext(opts map[string]string) (err error) {
	file := s.opts.Dockerfile
	if file == "" {
		file = "Dockerfile"
	}
	if s.opts.ContextArchive != "" {
		s.dirs[archiveName], opts["filename"] = filepath.Dir(s.opts.ContextArchive), file
		return nil
	}
	remote := IsRemote(s.opts.Context)
	if remote {
		opts[contextName], opts["filename"] = s.opts.Context, file
	} else if s.dirs[contextName], err = contextDir(s.opts.Context); err != nil {
		return err
	}
	switch {
	case s.opts.Inline != nil:
		dir := filepath.Join(s.top, "inline")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), s.opts.Inline, 0o600); err != nil {
			return err
		}
		s.dirs[dockerfileName], opts["filename"] = dir, "Dockerfile"
		if remote { // the Dockerfile is not there
			opts["dockerfilekey"] = dockerfileName
		}
	case !remote:
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.dirs[contextName], file)
		}
		if _, err := os.Stat(filepath.Dir(file)); err != nil {
			return fmt.Errorf("failed to read dockerfile: open %s: no such file or directory", file)
		}
		s.dirs[dockerfileName], opts["filename"] = filepath.Dir(file), filepath.Base(file)
	}
	return nil
}

// IsArchive says that a file begins as an archive does, compressed or not.
func IsArchive(head []byte) bool {
	lateinit.Run(lateinit.Builds)
	return archiveutil.IsArchive(head)
}

// IsRemote says that a context is an address and not a directory of this host.
func IsRemote(where string) bool {
	for _, prefix := range []string{"http://", "https://", "git://", "ssh://", "git@"} {
		if strings.HasPrefix(where, prefix) {
			return true
		}
	}
	return strings.HasPrefix(where, "github.com/")
}

func (c *frontendClient) BuildOpts() client.BuildOpts {
	none := apicaps.CapList{} // nothing that a gateway could do
	caps := none.CapSet(nil)
	if c.s.opts.ContextArchive != "" {
		caps = gwpb.Caps.CapSet(gwpb.Caps.All())
	}
	return client.BuildOpts{Opts: c.opts, LLBCaps: pb.Caps.CapSet(pb.Caps.All()), Caps: caps, Product: "compose"}
}

func (c *frontendClient) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return c.s.resolveImage(ctx, ref, opt)
}

var errNoGateway = errors.New("this builder has no gateway for frontends")

// ResolveSourceMetadata is asked for the time of what SOURCE_DATE_EPOCH names.
// A directory has none, and that is no error: the argument then means nothing.
func (c *frontendClient) ResolveSourceMetadata(_ context.Context, op *pb.SourceOp, _ sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	if !strings.HasPrefix(op.Identifier, "local://") {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH: the time of %s is not known to this builder: give a number of seconds", op.Identifier)
	}
	return &sourceresolver.MetaResponse{Op: op}, nil
}

// Inputs are the context and the Dockerfile of a build whose context is an
// archive.
func (c *frontendClient) Inputs(context.Context) (map[string]llb.State, error) {
	path := c.s.opts.ContextArchive
	if path == "" {
		return nil, nil
	}
	archive := llb.Local(archiveName, llb.WithCustomName("[internal] load remote build context"))
	files := llb.Scratch().File(llb.Copy(archive, "/"+filepath.Base(path), "/", &llb.CopyInfo{AttemptUnpack: true}),
		llb.WithCustomName("[internal] unpack the build context"))
	return map[string]llb.State{contextName: files, dockerfileName: files}, nil
}

func (c *frontendClient) NewContainer(context.Context, client.NewContainerRequest) (client.Container, error) {
	return nil, errNoGateway
}

func (c *frontendClient) Warn(context.Context, digest.Digest, string, client.WarnOpts) error {
	return nil
}

// Solve works a part of the graph out, for its files to be read.
func (c *frontendClient) Solve(ctx context.Context, req client.SolveRequest) (*client.Result, error) {
	if req.Definition == nil {
		return nil, errNoGateway
	}
	v, err := c.s.load(req.Definition)
	if err != nil {
		return nil, err
	}
	snap, err := c.s.solve(ctx, v)
	if err != nil {
		return nil, err
	}
	result := client.NewResult()
	result.SetRef(&solved{c.s, snap})
	return result, nil
}

// solved is the files that a part of the graph came to.
type solved struct {
	s    *session
	snap *snapshot
}

func (r *solved) ToState() (llb.State, error)    { return llb.State{}, errNoGateway }
func (r *solved) Evaluate(context.Context) error { return nil }

func (r *solved) StatFile(context.Context, client.StatRequest) (*fstypes.Stat, error) {
	return nil, errNoGateway
}

func (r *solved) ReadDir(context.Context, client.ReadDirRequest) ([]*fstypes.Stat, error) {
	return nil, errNoGateway
}

// ReadFile reads the beginning of a file.
func (r *solved) ReadFile(_ context.Context, req client.ReadRequest) (data []byte, err error) {
	err = r.s.read(r.snap, func(t fileop.Tree) error {
		fd, err := unix.Openat2(t.Root, strings.TrimPrefix(filepath.Clean("/"+req.Filename), "/"), &unix.OpenHow{
			Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			return &os.PathError{Op: "open", Path: req.Filename, Err: err}
		}
		f := os.NewFile(uintptr(fd), req.Filename)
		defer f.Close()
		limit := int64(maxFile)
		if req.Range != nil && req.Range.Length > 0 {
			limit = int64(req.Range.Length)
		}
		data, err = io.ReadAll(io.LimitReader(f, limit))
		return err
	})
	return data, err
}
