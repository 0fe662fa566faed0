package build

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"compose/engine/build/fileop"
	"compose/engine/runtime"
)

// execOp runs a RUN step on top of its root file system.
func (s *session) execOp(ctx context.Context, v *vertex, op *pb.ExecOp, in []*snapshot) (*snapshot, bool, error) {
	base, err := execBase(op, in)
	if err != nil {
		return nil, false, err
	}
	if op.Security == pb.SecurityMode_INSECURE && !s.opts.Privileged {
		return nil, false, errors.New("RUN --security=insecure needs the entitlement security.insecure; allow it with --allow security.insecure, or build.entitlements or build.privileged in the Compose file")
	}
	if len(op.CdiDevices) > 0 {
		return nil, false, errors.New("RUN --device is not supported yet")
	}
	k, err := s.execKey(ctx, v, op, base, in)
	if err != nil {
		return nil, false, err
	}
	layers, hit, err := s.cached(ctx, v, base.chain(), k, v.meta.GetIgnoreCache(), func() ([]layer, error) {
		l, err := s.change(base, func(root runtime.RootFS) error { return s.exec(ctx, v, op, root, in) })
		return []layer{l}, err
	})
	if err != nil {
		return nil, false, err
	}
	if hit {
		s.decided(v, false)
	}
	return base.on(layers...), hit, nil
}

// execBase finds the root file system among the mounts.
func execBase(op *pb.ExecOp, in []*snapshot) (*snapshot, error) {
	var base *snapshot
	for _, m := range op.Mounts {
		if m.Input >= int64(len(in)) {
			return nil, errors.New("a mount refers to an input that is not there")
		}
		if m.Dest != pb.RootMount {
			if m.Output > 0 {
				return nil, errors.New("results of other mounts than the root are not supported")
			}
			continue
		}
		if m.Input < 0 {
			base = &snapshot{}
		} else if base = in[m.Input]; base.dir != "" {
			return nil, errors.New("a directory of the host cannot be the root of a step")
		}
		if m.Selector != "" && m.Selector != "/" || m.Readonly {
			return nil, errors.New("a step's root has to be a whole, writable file system")
		}
	}
	if base == nil {
		return nil, errors.New("the step has no root file system")
	}
	return base, nil
}

// execKey covers the command, its root and what its mounts show. Addresses of
// extra hosts, proxies and the place of cache directories may differ from host
// to host without the result being another.
func (s *session) execKey(ctx context.Context, v *vertex, op *pb.ExecOp, base *snapshot, in []*snapshot) (key, error) {
	what, err := opBytes(v.op, func(o *pb.Op) {
		x := o.GetExec()
		for _, h := range x.Meta.ExtraHosts {
			h.IP = ""
		}
		x.Meta.ProxyEnv = nil
		x.Meta.CgroupParent = ""
	})
	if err != nil {
		return "", err
	}
	parts := []string{"exec", what, base.chain().String(), s.epochKey()}
	for _, m := range op.Mounts {
		if m.Dest == pb.RootMount || m.Input < 0 || m.MountType == pb.MountType_CACHE {
			continue
		}
		from := in[m.Input]
		id, ok := from.identity()
		if !ok {
			var sum fileop.Sum
			err := s.read(from, func(t fileop.Tree) (err error) {
				sum, err = fileop.HashPath(ctx, t, path.Join("/", m.Selector), s.summer(from))
				return err
			})
			if err != nil {
				return "", err
			}
			id = "content " + hex.EncodeToString(sum[:])
		}
		parts = append(parts, id)
	}
	return makeKey(parts...), nil
}

// exec runs the process.
func (s *session) exec(ctx context.Context, v *vertex, op *pb.ExecOp, root runtime.RootFS, in []*snapshot) error {
	if len(root.Lowers) == 0 {
		empty, err := s.empty()
		if err != nil {
			return err
		}
		root.Lowers = []string{empty}
	}
	m := &mounter{s: s, ctx: ctx}
	defer m.close()
	spec := RunSpec{
		RootFS: root,
		Args:   op.Meta.Args, Env: slices.Clone(op.Meta.Env), Dir: op.Meta.Cwd, User: op.Meta.User, Hostname: op.Meta.Hostname,
		Privileged: op.Security == pb.SecurityMode_INSECURE, CgroupParent: s.opts.CgroupParent,
		Stdout: v.task.writer(1), Stderr: v.task.writer(2),
	}
	if spec.Dir == "" {
		spec.Dir = "/"
	}
	for _, h := range op.Meta.ExtraHosts {
		spec.ExtraHosts = append(spec.ExtraHosts, h.Host+":"+h.IP)
	}
	switch op.Network {
	case pb.NetMode_HOST:
		spec.Network = "host"
	case pb.NetMode_NONE:
		spec.Network = "none"
	}
	for _, u := range op.Meta.Ulimit {
		spec.Ulimits = append(spec.Ulimits, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)})
	}
	spec.Env = append(spec.Env, proxyEnv(op.Meta.ProxyEnv)...)
	secrets, err := s.secretEnv(op.Secretenv)
	if err != nil {
		return err
	}
	spec.Env = append(spec.Env, secrets...)
	if spec.Mounts, err = m.mounts(op.Mounts, in); err != nil {
		return err
	}
	stubs, err := findStubs(root, stubTargets(op.Mounts))
	if err != nil {
		return err
	}
	s.decided(v, true)
	err = s.steps.Run(ctx, spec)
	var exit *ExitError
	if errors.As(err, &exit) && slices.Contains(op.Meta.ValidExitCodes, int32(exit.Code)) && exit.Code != 0 {
		err = nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return removeStubs(root.Upper, stubs)
}

func proxyEnv(p *pb.ProxyEnv) []string {
	var out []string
	for _, e := range []struct{ name, value string }{
		{"http_proxy", p.GetHttpProxy()},
		{"https_proxy", p.GetHttpsProxy()},
		{"ftp_proxy", p.GetFtpProxy()},
		{"no_proxy", p.GetNoProxy()},
		{"all_proxy", p.GetAllProxy()},
	} {
		if e.value != "" {
			out = append(out, strings.ToUpper(e.name)+"="+e.value, e.name+"="+e.value)
		}
	}
	return out
}

// secretEnv are the secrets that a step sees in its environment.
func (s *session) secretEnv(list []*pb.SecretEnv) ([]string, error) {
	var out []string
	for _, e := range list {
		data, err := s.secret(e.ID)
		if err != nil {
			if e.Optional && errors.Is(err, errNoSecret) {
				continue
			}
			return nil, err
		}
		out = append(out, e.Name+"="+string(data))
	}
	return out, nil
}

var errNoSecret = errors.New("not given to the build")

func unknownSecret(id string) error { return fmt.Errorf("secret %s: %w", id, errNoSecret) }
