package orchestrator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"compose/engine"
)

// watchRule is one entry of a service's develop.watch.
type watchRule struct {
	types.Trigger
	service string
	include *patternmatcher.PatternMatcher // nil: everything
	ignore  []*patternmatcher.PatternMatcher
}

// editorFiles are what editors and Git leave beside the files that are worked
// on for a moment: Docker Compose's list.
var editorFiles = []string{
	"**/.git/**", "**/*___jb_old___", "**/*___jb_tmp___", "**/.idea/**", "**/.#*", "**/#*#",
	"**/4913", "**/*~", "**/.*.swp", "**/.*.swx", "**/.*.swo", "**/.*.swn", "**/.*.kate-swp", "**/*-go-tmp-umask",
}

// watchRules reads the develop.watch of services, and says of each entry that
// has no effect why.
func watchRules(p *types.Project, services []string, warn func(string)) ([]watchRule, error) {
	var rules []watchRule
	for _, name := range sortedServices(p, services) {
		s := p.Services[name]
		if s.Develop == nil {
			continue
		}
		context, err := contextIgnores(s.Build)
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
		for _, t := range s.Develop.Watch {
			r := watchRule{Trigger: t, service: name, ignore: context}
			r.Path = filepath.Clean(r.Path)
			switch {
			case t.Action == types.WatchActionRebuild && s.Build == nil:
				return nil, fmt.Errorf("can't watch service %q with action rebuild without a build context", name)
			case t.Action == types.WatchActionSyncExec && len(t.Exec.Command) == 0:
				return nil, fmt.Errorf("can't watch service %q with action sync+exec without a command: give it exec.command", name)
			case t.Action != types.WatchActionSyncExec && r.syncs() && bindMounted(r.Path, s.Volumes):
				warn(fmt.Sprintf("path '%s' also declared by a bind mount volume, this path won't be monitored!", t.Path))
				continue
			}
			if err := r.patterns(); err != nil {
				return nil, fmt.Errorf("service %q: develop.watch: %w", name, err)
			}
			rules = append(rules, r)
		}
	}
	if len(rules) == 0 {
		return nil, ErrNothingToWatch
	}
	return rules, nil
}

// ErrNothingToWatch says that no selected service has anything to watch.
var ErrNothingToWatch = errors.New("none of the selected services is configured for watch, consider setting a 'develop' section")

// syncs says whether the entry copies files into containers.
func (r *watchRule) syncs() bool {
	return r.Action == types.WatchActionSync || r.Action == types.WatchActionSyncRestart || r.Action == types.WatchActionSyncExec
}

func (r *watchRule) patterns() error {
	editors, err := patternmatcher.New(editorFiles)
	if err != nil {
		return err
	}
	own, err := absolutePatterns(r.Path, r.Ignore)
	if err != nil {
		return fmt.Errorf("ignore: %w", err)
	}
	r.ignore = append(slices.Clone(r.ignore), editors, own)
	if len(r.Include) > 0 {
		if r.include, err = absolutePatterns(r.Path, r.Include); err != nil {
			return fmt.Errorf("include: %w", err)
		}
	}
	return nil
}

// absolutePatterns are patterns of paths below a directory, made to match
// absolute paths. A lone "*" does not count, as with Docker Compose: it would
// leave nothing to watch where a context is described by its exceptions.
func absolutePatterns(dir string, list []string) (*patternmatcher.PatternMatcher, error) {
	all := slices.Contains(list, "*")
	var out []string
	for _, p := range list {
		rest, except := strings.CutPrefix(strings.TrimSpace(p), "!")
		if rest == "" || all && !except {
			continue
		}
		if !filepath.IsAbs(rest) {
			rest = filepath.Join(dir, rest)
		}
		if except {
			rest = "!" + rest
		}
		out = append(out, rest)
	}
	return patternmatcher.New(out)
}

// contextIgnores is what a build leaves out of its context.
func contextIgnores(b *types.BuildConfig) ([]*patternmatcher.PatternMatcher, error) {
	if b == nil || !filepath.IsAbs(b.Context) {
		return nil, nil
	}
	for _, name := range []string{b.Dockerfile + ".dockerignore", ".dockerignore"} {
		f, err := os.Open(filepath.Join(b.Context, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		list, err := ignorefile.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		m, err := absolutePatterns(b.Context, list)
		return []*patternmatcher.PatternMatcher{m}, err
	}
	return nil, nil
}

// bindMounted says whether a path is in a container anyway.
func bindMounted(path string, volumes []types.ServiceVolumeConfig) bool {
	return slices.ContainsFunc(volumes, func(v types.ServiceVolumeConfig) bool {
		source := v.Source
		if real, err := filepath.EvalSymlinks(source); err == nil { // as the loader does with the watched path
			source = real
		}
		return v.Type == types.VolumeTypeBind && within(source, path)
	})
}

// within says whether path is dir or something in it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// matches says whether a change of a path is the entry's business.
func (r *watchRule) matches(path string) bool {
	return within(r.Path, path) && (r.include == nil || matched(r.include, path)) && !r.ignored(path)
}

func (r *watchRule) ignored(path string) bool {
	return slices.ContainsFunc(r.ignore, func(m *patternmatcher.PatternMatcher) bool { return matched(m, path) })
}

func matched(m *patternmatcher.PatternMatcher, path string) bool {
	ok, err := m.MatchesOrParentMatches(path)
	return ok && err == nil // a bad pattern was refused when it was read
}

// skips says whether no change in a directory can be the entry's business.
func (r *watchRule) skips(dir string) bool {
	return !within(r.Path, dir) || slices.ContainsFunc(r.ignore, func(m *patternmatcher.PatternMatcher) bool {
		return !m.Exclusions() && matched(m, dir)
	})
}

// syncPath is where a path of the host goes in the container.
func (r *watchRule) syncPath(path string) engine.SyncPath {
	return engine.SyncPath{Source: path, Target: filepath.Join(r.Target, strings.TrimPrefix(path, r.Path))}
}

// files are all that is there for the entry to copy.
func (r *watchRule) files(volumes []types.ServiceVolumeConfig) ([]engine.SyncPath, error) {
	var out []engine.SyncPath
	err := filepath.WalkDir(r.Path, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (r.skips(path) || bindMounted(path, volumes)):
			return fs.SkipDir
		case !d.IsDir() && r.matches(path) && !bindMounted(path, volumes):
			out = append(out, r.syncPath(path))
		}
		return nil
	})
	return out, err
}

// batch is what changes of files ask for.
type batch struct {
	rebuild, restart map[string]bool
	sync             map[string][]engine.SyncPath
	exec             map[string][]*watchRule
}

// sortChanges turns changed paths into what is to be done.
func sortChanges(rules []watchRule, paths []string) batch {
	b := batch{rebuild: map[string]bool{}, restart: map[string]bool{}, sync: map[string][]engine.SyncPath{}, exec: map[string][]*watchRule{}}
	for i := range rules {
		r := &rules[i]
		for _, path := range paths {
			if !r.matches(path) {
				continue
			}
			if r.syncs() {
				if to := r.syncPath(path); !slices.Contains(b.sync[r.service], to) {
					b.sync[r.service] = append(b.sync[r.service], to)
				}
			}
			switch r.Action {
			case types.WatchActionRebuild:
				b.rebuild[r.service] = true
			case types.WatchActionRestart, types.WatchActionSyncRestart:
				b.restart[r.service] = true
			case types.WatchActionSyncExec:
				if !slices.Contains(b.exec[r.service], r) {
					b.exec[r.service] = append(b.exec[r.service], r)
				}
			}
		}
	}
	return b
}
