package spec

import (
	"bytes"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/tree"
)

// withFewCasts leaves the loader only those of its patterns that something in
// the files can match. It has a hundred that say which texts are numbers or
// truth values, and tries each of them on each text of each service.
func withFewCasts(o *cli.ProjectOptions) {
	_ = cli.WithLoadOptions(func(l *loader.Options) {
		if l.Interpolate == nil {
			return // these options are not for loading
		}
		if words := keyWords(o); words != nil {
			with := *l.Interpolate
			with.TypeCastMapping = matchable(with.TypeCastMapping, words)
			l.Interpolate = &with
		}
	})(o) // it returns no error
}

// matchable are the patterns all of whose words are among these.
func matchable(all map[tree.Path]interpolation.Cast, words map[string]bool) map[tree.Path]interpolation.Cast {
	some := map[tree.Path]interpolation.Cast{}
	for pattern, cast := range all {
		if !slices.ContainsFunc(pattern.Parts(), func(part string) bool {
			return part != tree.PathMatchAll && part != tree.PathMatchList && !words[part]
		}) {
			some[pattern] = cast
		}
	}
	return some
}

// keyWords are the words in the files: all keys of letters, digits and
// underscores are among them. It is nil if the loader may come to read other
// keys than the files have in so many words.
func keyWords(o *cli.ProjectOptions) map[string]bool {
	words := map[string]bool{}
	for _, path := range o.ConfigPaths {
		if slices.ContainsFunc(o.ResourceLoaders, func(r loader.ResourceLoader) bool { return r.Accept(path) }) {
			return nil
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return nil // standard input, or a pipe: can be read once only
		}
		data, err := os.ReadFile(path)
		if err != nil || bytes.ContainsAny(data, "\\%\x00") { // escapes; and UTF-16 has zero bytes
			return nil
		}
		for word := range strings.FieldsFuncSeq(string(data), func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			words[word] = true
		}
	}
	if words["include"] || words["extends"] && words["file"] || words["binary"] {
		return nil // other files; and a tag that means base64
	}
	return words
}
