// Package gitsource checks out Git repositories for builds. It runs the git
// program, which speaks every protocol and proves every object it gets.
package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"compose/internal/filelock"
)

// Source is a repository and what is wanted of it.
type Source struct {
	URL            string
	Ref            string // branch, tag, full reference or commit; "": the remote's HEAD
	Checksum       string // that the commit's ID has to begin with, if given
	KeepGitDir     bool
	SkipSubmodules bool
	Token          string // for the password of HTTP
	Header         string // an authorization header of HTTP instead
	SSHSocket      string // of an agent
	KnownHosts     string // lines of known_hosts; "": the user's own file
	// UserConfig lets the user's configuration of Git and SSH count, with the
	// credentials that it knows, as if it was the user who ran git.
	UserConfig bool
}

// Repository is a copy of a remote that is kept from build to build, below a
// directory; only one process works on it at a time.
type Repository struct {
	src  Source
	dir  string // bare repository
	lock *filelock.Lock
	tmp  string
}

// isCommit says whether a reference is a commit's whole ID: 40 hexadecimal
// digits, or 64 where the repository uses SHA-256.
func isCommit(ref string) bool {
	return (len(ref) == 40 || len(ref) == 64) && strings.Trim(ref, "0123456789abcdef") == ""
}

// Open makes ready to fetch a source. Copies of remotes are kept in store.
func Open(store string, src Source) (*Repository, error) {
	if strings.HasPrefix(src.URL, "-") || strings.HasPrefix(src.Ref, "-") {
		return nil, fmt.Errorf("%s#%s is not the address of a repository", src.URL, src.Ref)
	}
	if err := os.MkdirAll(store, 0o700); err != nil {
		return nil, err
	}
	r := &Repository{src: src, dir: filepath.Join(store, digest.FromString(src.URL).Encoded()[:26])}
	var err error
	if r.lock, err = filelock.Exclusive(r.dir + ".lock"); err != nil {
		return nil, err
	}
	if r.tmp, err = os.MkdirTemp(store, "home-"); err != nil {
		r.lock.Unlock()
		return nil, err
	}
	return r, nil
}

// Close lets others work on the copy.
func (r *Repository) Close() {
	os.RemoveAll(r.tmp)
	r.lock.Unlock()
}

// Commit asks the remote which commit the reference is now.
func (r *Repository) Commit(ctx context.Context) (string, error) {
	if isCommit(r.src.Ref) {
		return r.src.Ref, nil
	}
	ref := r.src.Ref
	if ref == "" {
		ref = "HEAD"
	}
	out, err := r.git(ctx, "", "ls-remote", "--", r.src.URL, ref, ref+"^{}")
	if err != nil {
		return "", err
	}
	// An exact name wins, then a branch, then a tag, of which the commit that
	// an annotated one points to.
	best, rank := "", 0
	for line := range strings.Lines(string(out)) {
		id, name, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || !isCommit(id) {
			continue
		}
		for i, want := range []string{"refs/tags/" + ref, "refs/tags/" + ref + "^{}", "refs/heads/" + ref, ref, ref + "^{}"} {
			if name == want && i+1 > rank {
				best, rank = id, i+1
			}
		}
	}
	if best == "" {
		return "", fmt.Errorf("repository does not contain ref %s, output: %q", ref, strings.TrimSpace(string(out)))
	}
	if !strings.HasPrefix(best, r.src.Checksum) {
		return "", fmt.Errorf("expected checksum to match %s, got %s", r.src.Checksum, best)
	}
	return best, nil
}

// Checkout writes the files of a commit below an empty directory.
func (r *Repository) Checkout(ctx context.Context, commit, into string) error {
	if _, err := os.Stat(filepath.Join(r.dir, "HEAD")); err != nil {
		if _, err := r.git(ctx, "", "init", "-q", "--bare", r.dir); err != nil {
			return err
		}
	}
	if _, err := r.git(ctx, r.dir, "cat-file", "-e", commit+"^{commit}"); err != nil {
		if err := r.fetch(ctx, commit); err != nil {
			return err
		}
	}
	if r.src.KeepGitDir {
		return r.clone(ctx, commit, into)
	}
	index := filepath.Join(r.tmp, "index")
	if _, err := r.git(ctx, r.dir, "--work-tree="+into, "read-tree", "--index-output="+index, commit); err != nil {
		return err
	}
	if _, err := r.gitEnv(ctx, []string{"GIT_INDEX_FILE=" + index}, "--git-dir="+r.dir, "--work-tree="+into, "checkout-index", "-a", "-f"); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(into, ".gitmodules")); err == nil && !r.src.SkipSubmodules {
		// Submodules need a repository of their own around them.
		if err := empty(into); err != nil {
			return err
		}
		if err := r.clone(ctx, commit, into); err != nil {
			return err
		}
		return removeGitDirs(into)
	}
	return nil
}

// fetch gets one commit, alone where the server lets it be asked for.
func (r *Repository) fetch(ctx context.Context, commit string) error {
	os.Remove(filepath.Join(r.dir, "shallow.lock")) // of a fetch that was killed
	ref := r.src.Ref
	if ref == "" || isCommit(ref) {
		ref = commit
	}
	for _, attempt := range [][]string{
		{"--depth=1", "--no-tags", r.src.URL, commit},
		{"--no-tags", r.src.URL, ref},
		{"--tags", r.src.URL, "+refs/heads/*:refs/remotes/origin/*"},
	} {
		_, err := r.git(ctx, r.dir, append([]string{"fetch", "-q", "--force", "--update-head-ok"}, attempt...)...)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			if _, err = r.git(ctx, r.dir, "cat-file", "-e", commit+"^{commit}"); err == nil {
				return nil
			}
		}
	}
	_, err := r.git(ctx, r.dir, "fetch", "-q", r.src.URL, ref)
	if err == nil {
		err = fmt.Errorf("%s has no commit %s", r.src.URL, commit)
	}
	return err
}

// clone makes a checkout with a repository of its own.
func (r *Repository) clone(ctx context.Context, commit, into string) error {
	steps := [][]string{
		{"init", "-q", into},
		{"--git-dir=" + filepath.Join(into, ".git"), "fetch", "-q", "--depth=1", "--no-tags", r.dir, commit},
		{"--git-dir=" + filepath.Join(into, ".git"), "--work-tree=" + into, "checkout", "-q", "--detach", "FETCH_HEAD"},
		{"--git-dir=" + filepath.Join(into, ".git"), "config", "remote.origin.url", r.src.URL},
	}
	for _, args := range steps {
		if _, err := r.gitEnv(ctx, []string{"GIT_ALLOW_PROTOCOL=file"}, append([]string{"-c", "uploadpack.allowAnySHA1InWant=true"}, args...)...); err != nil {
			return err
		}
	}
	os.Remove(filepath.Join(into, ".git", "FETCH_HEAD"))
	if r.src.SkipSubmodules {
		return nil
	}
	if _, err := os.Stat(filepath.Join(into, ".gitmodules")); err != nil {
		return nil
	}
	_, err := r.git(ctx, "", "-C", into, "submodule", "update", "-q", "--init", "--recursive", "--depth=1")
	return err
}

// git runs the program on a bare repository, or on none.
func (r *Repository) git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	if dir != "" {
		args = append([]string{"--git-dir=" + dir}, args...)
	}
	return r.gitEnv(ctx, nil, args...)
}

// gitEnv runs the program, where not told otherwise away from the user's own
// configuration. What a repository says must not run anything here.
func (r *Repository) gitEnv(ctx context.Context, env []string, args ...string) ([]byte, error) {
	config := []string{"-c", "core.hooksPath=/dev/null", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false", "-c", "safe.directory=*", "-c", "core.fsmonitor=false"}
	switch {
	case r.src.Header != "":
		config = append(config, "-c", "http.extraHeader=Authorization: "+r.src.Header)
	case r.src.Token != "":
		config = append(config, "-c", "http.extraHeader=Authorization: basic "+basic("x-access-token", r.src.Token))
	}
	cmd := exec.CommandContext(ctx, "git", append(config, args...)...)
	cmd.Env = append(r.environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s: the program git is needed for repositories; install it", r.src.URL)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = err.Error()
		}
		return nil, fmt.Errorf("%s: %s", r.src.URL, strings.ReplaceAll(said, "\n", "; "))
	}
	return out, nil
}
