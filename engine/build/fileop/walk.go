package fileop

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"golang.org/x/sys/unix"
)

// entry is one file of a selection.
type entry struct {
	dir  int    // descriptor of the directory it is in
	name string // in that directory
	rel  string // below what was selected, "" for that itself
	st   unix.Stat_t
}

// visitor is told of every file of a selection, directories before and after
// what is in them.
type visitor interface {
	enter(e *entry) error
	leave(e *entry) error
	file(e *entry) error
}

// selection is what one source path of a copy comes to.
type selection struct {
	tree             Tree
	include, exclude *patternmatcher.PatternMatcher
	ctx              context.Context
}

// matched carries the outcome for a directory on to what is in it.
type matched struct{ ignore, include, exclude patternmatcher.MatchInfo }

// pending is a directory on the way down that has not been told of: it does
// not match itself, but something below it may.
type pending struct {
	e    *entry
	told bool
}

func newSelection(ctx context.Context, t Tree, a *pb.FileActionCopy) (*selection, error) {
	s := &selection{ctx: ctx, tree: t}
	var err error
	if len(a.IncludePatterns) > 0 {
		if s.include, err = patternmatcher.New(a.IncludePatterns); err != nil {
			return nil, err
		}
	}
	if len(a.ExcludePatterns) > 0 {
		if s.exclude, err = patternmatcher.New(a.ExcludePatterns); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// sources resolves the source path of a to the real paths it stands for.
func (s *selection) sources(a *pb.FileActionCopy) ([]string, error) {
	src := path.Clean("/" + a.Src)
	for _, p := range a.RequiredPaths {
		if len(a.IncludePatterns) == 0 {
			break
		}
		if _, err := s.lookup(path.Clean("/"+p), a.FollowSymlink); err != nil {
			return nil, err
		}
	}
	if !a.AllowWildcard || !hasWildcard(src) {
		real, err := s.lookup(src, a.FollowSymlink)
		if err != nil {
			return nil, err
		}
		return []string{real}, nil
	}
	parts := strings.Split(src, "/")[1:]
	first := slices.IndexFunc(parts, hasWildcard)
	base, err := realPath(s.tree.Root, "/"+strings.Join(parts[:first], "/"), true)
	if err != nil {
		return nil, err
	}
	list, err := s.glob(base, parts[first:])
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && !a.AllowEmptyWildcard {
		return nil, &NotFoundError{Path: src}
	}
	if a.FollowSymlink {
		for i, p := range list {
			if list[i], err = realPath(s.tree.Root, p, true); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// lookup finds one path that has to be there.
func (s *selection) lookup(name string, follow bool) (string, error) {
	real, err := realPath(s.tree.Root, name, follow)
	if err != nil {
		return "", err
	}
	st, err := statIn(s.tree.Root, real)
	if err != nil {
		if isMissing(err) {
			return "", &NotFoundError{Path: name}
		}
		return "", pathError("stat", name, err)
	}
	ignored, info, err := s.ignored(real)
	if err != nil {
		return "", err
	}
	if ignored && !(isDir(&st) && s.holdsExceptions(strings.TrimPrefix(real, "/"), info)) {
		return "", &NotFoundError{Path: name}
	}
	return real, nil
}

// ignored says whether the tree hides the path, with the state to go on from.
func (s *selection) ignored(real string) (hidden bool, info patternmatcher.MatchInfo, err error) {
	if s.tree.Ignore == nil || real == "/" {
		return false, info, nil
	}
	rel := strings.TrimPrefix(real, "/")
	for i := 0; i <= len(rel); i++ {
		if i == len(rel) || rel[i] == '/' {
			if hidden, info, err = s.tree.Ignore.MatchesUsingParentResults(rel[:i], info); err != nil {
				return false, info, err
			}
		}
	}
	return hidden, info, nil
}

// holdsExceptions says whether a "!" pattern may match something below an
// ignored directory, so that it has to be looked through.
func (s *selection) holdsExceptions(dir string, _ patternmatcher.MatchInfo) bool {
	return mayExcept(s.tree.Ignore, dir)
}

func mayExcept(m *patternmatcher.PatternMatcher, dir string) bool {
	if m == nil || !m.Exclusions() {
		return false
	}
	parts := strings.Split(dir, "/")
patterns:
	for _, p := range m.Patterns() {
		if !p.Exclusion() {
			continue
		}
		for i, want := range strings.Split(p.String(), "/") {
			if i == len(parts) || strings.Contains(want, "**") {
				return true
			}
			if ok, err := path.Match(want, parts[i]); err != nil || !ok {
				continue patterns
			}
		}
		return true // the pattern matches a directory above
	}
	return false
}

// glob finds what the components match below dir; links are not followed.
func (s *selection) glob(dir string, parts []string) ([]string, error) {
	fd, err := openIn(s.tree.Root, dir, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		if isMissing(err) || err == unix.ELOOP {
			return nil, nil
		}
		return nil, pathError("open", dir, err)
	}
	names, err := readDirNames(fd)
	unix.Close(fd)
	if err != nil {
		return nil, pathError("read", dir, err)
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		ok, err := path.Match(parts[0], name)
		if err != nil {
			return nil, pathError("match", parts[0], err)
		}
		if !ok {
			continue
		}
		full := path.Join(dir, name)
		if len(parts) > 1 {
			below, err := s.glob(full, parts[1:])
			if err != nil {
				return nil, err
			}
			out = append(out, below...)
			continue
		}
		st, err := statIn(s.tree.Root, full)
		if err != nil {
			continue
		}
		hidden, info, err := s.ignored(full)
		if err != nil {
			return nil, err
		}
		if hidden && !(isDir(&st) && s.holdsExceptions(full[1:], info)) {
			continue
		}
		if s.exclude != nil && !isDir(&st) {
			// A pattern of COPY --exclude means a file that a wildcard found
			// by its name.
			if out, err := s.exclude.MatchesOrParentMatches(name); err != nil || out {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		out = append(out, full)
	}
	return out, nil
}

func hasWildcard(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// walk tells v of the file or tree at real, a path that sources returned.
func (s *selection) walk(real string, v visitor) error {
	_, info, err := s.ignored(real)
	if err != nil {
		return err
	}
	dir, name := path.Split(real)
	if name == "" {
		name = "."
	}
	fd, err := openIn(s.tree.Root, dir, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return pathError("open", dir, err)
	}
	defer unix.Close(fd)
	e := &entry{dir: fd, name: name}
	return s.visit(e, strings.TrimPrefix(real, "/"), matched{ignore: info}, nil, v)
}

// visit handles e, whose path in the tree is full. up are the directories
// above it within the selection.
func (s *selection) visit(e *entry, full string, m matched, up []*pending, v visitor) error {
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	if err := unix.Fstatat(e.dir, e.name, &e.st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("stat", "/"+full, err)
	}
	if s.tree.AsRoot {
		e.st.Uid, e.st.Gid = 0, 0
	}
	wanted, descend := true, true
	var err error
	if e.rel != "" {
		if wanted, descend, m, err = s.match(e, full, m); err != nil {
			return err
		}
	} else if s.tree.Ignore != nil && full != "" {
		// sources has let it pass: a directory that is ignored itself is
		// here for the exceptions in it.
		hidden, _, err := s.ignored("/" + full)
		if err != nil {
			return err
		}
		wanted = !hidden
	}
	if !isDir(&e.st) {
		if !wanted {
			return nil
		}
		if err := tell(up, v); err != nil {
			return err
		}
		return v.file(e)
	}
	if !wanted && !descend {
		return nil
	}
	self := &pending{e: e}
	up = append(up, self)
	if wanted {
		if err := tell(up, v); err != nil {
			return err
		}
	}
	fd, err := unix.Openat(e.dir, e.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", "/"+full, err)
	}
	defer unix.Close(fd)
	names, err := readDirNames(fd)
	if err != nil {
		return pathError("read", "/"+full, err)
	}
	slices.Sort(names)
	for _, name := range names {
		child := &entry{dir: fd, name: name, rel: path.Join(e.rel, name)}
		if err := s.visit(child, path.Join(full, name), m, up, v); err != nil {
			return err
		}
	}
	if self.told {
		return v.leave(e)
	}
	return nil
}

// tell has v enter the directories that it does not know of yet.
func tell(up []*pending, v visitor) error {
	for _, p := range up {
		if !p.told {
			p.told = true
			if err := v.enter(p.e); err != nil {
				return err
			}
		}
	}
	return nil
}

// match holds e against the patterns: whether it is selected, and, if not,
// whether something in it may be.
func (s *selection) match(e *entry, full string, m matched) (wanted, descend bool, out matched, err error) {
	wanted, descend = true, true
	if s.tree.Ignore != nil {
		hidden, info, err := s.tree.Ignore.MatchesUsingParentResults(full, m.ignore)
		if err != nil {
			return false, false, m, err
		}
		out.ignore = info
		if hidden {
			wanted, descend = false, mayExcept(s.tree.Ignore, full)
		}
	}
	if s.exclude != nil {
		hidden, info, err := s.exclude.MatchesUsingParentResults(e.rel, m.exclude)
		if err != nil {
			return false, false, m, err
		}
		out.exclude = info
		if hidden {
			wanted = false
			descend = descend && mayExcept(s.exclude, e.rel)
		}
	}
	if s.include != nil {
		ok, info, err := s.include.MatchesUsingParentResults(e.rel, m.include)
		if err != nil {
			return false, false, m, err
		}
		out.include = info
		wanted = wanted && ok
	}
	return wanted, descend, out, nil
}
