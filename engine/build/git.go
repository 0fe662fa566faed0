package build

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/solver/pb"

	"compose/engine/build/gitsource"
	"compose/engine/runtime"
)

// gitSource is the files of a commit. The commit is their identity: what has
// been checked out once is not fetched again.
func (s *session) gitSource(ctx context.Context, v *vertex, op *pb.SourceOp) (*snapshot, bool, error) {
	address, fragment, _ := strings.Cut(strings.TrimPrefix(op.Identifier, "git://"), "#")
	ref, subdir, _ := strings.Cut(fragment, ":")
	src := gitsource.Source{
		URL: op.Attrs[pb.AttrFullRemoteURL], Ref: ref, Checksum: op.Attrs[pb.AttrGitChecksum],
		KeepGitDir: op.Attrs[pb.AttrKeepGitDir] == "true", SkipSubmodules: op.Attrs[pb.AttrGitSkipSubmodules] == "true",
		SSHSocket: s.opts.SSH[op.Attrs[pb.AttrMountSSHSock]], KnownHosts: op.Attrs[pb.AttrKnownSSHHosts],
	}
	if src.URL == "" {
		src.URL = "https://" + address
	}
	for attr, to := range map[string]*string{pb.AttrAuthTokenSecret: &src.Token, pb.AttrAuthHeaderSecret: &src.Header} {
		if data, err := s.secret(op.Attrs[attr]); err == nil {
			*to = string(data)
		}
	}
	repo, err := gitsource.Open(filepath.Join(s.roots.Build(), "git"), src)
	if err != nil {
		return nil, false, err
	}
	defer repo.Close()
	commit, err := repo.Commit(ctx)
	if err != nil {
		return nil, false, err
	}
	k := makeKey("git", src.URL, commit, subdir, fmt.Sprint(src.KeepGitDir, src.SkipSubmodules), s.epochKey())
	layers, hit, err := s.cached(ctx, v, "", k, false, func() ([]layer, error) {
		l, err := s.change(&snapshot{}, func(root runtime.RootFS) error { return s.checkout(ctx, repo, commit, subdir, root.Upper) })
		return []layer{l}, err
	})
	if err != nil {
		return nil, false, err
	}
	return (&snapshot{}).on(layers...), hit, nil
}

// checkout puts a directory of a commit into dir.
func (s *session) checkout(ctx context.Context, repo *gitsource.Repository, commit, subdir, dir string) error {
	if path.Join("/", subdir) == "/" {
		return repo.Checkout(ctx, commit, dir)
	}
	all := filepath.Join(s.top, "git-"+randomID())
	if err := os.Mkdir(all, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(all)
	if err := repo.Checkout(ctx, commit, all); err != nil {
		return err
	}
	// A link in the repository cannot lead out of it.
	root, err := os.OpenRoot(all)
	if err != nil {
		return err
	}
	defer root.Close()
	sub, err := root.OpenRoot(strings.Trim(path.Clean("/"+subdir), "/"))
	if err != nil {
		return fmt.Errorf("the repository has no directory %s", subdir)
	}
	defer sub.Close()
	list, err := fsReadDir(sub)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(all, subdir))
	if err != nil || !hasPrefixPath(real, all) {
		return fmt.Errorf("the repository has no directory %s", subdir)
	}
	for _, name := range list {
		if err := os.Rename(filepath.Join(real, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func fsReadDir(root *os.Root) ([]string, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
