package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/compose-spec/compose-go/v2/types"
)

// FileError is a mistake in a Compose file, at a place.
type FileError struct {
	File         string // as the user would name it
	Line, Column int    // 1 is the first; 0: not known
	Field        string // "services.web.ports"; "" where the whole file is meant
	Message      string // what is wrong, and what to do
	Err          error
}

func (e *FileError) Error() string {
	place := e.File
	if e.Line > 0 {
		place += fmt.Sprintf(":%d", e.Line)
		if e.Column > 0 {
			place += fmt.Sprintf(":%d", e.Column)
		}
	}
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if place == "" {
		return text
	}
	return place + ": " + text
}

func (e *FileError) Unwrap() error { return e.Err }

// The loader's errors are texts; these are their shapes.
var (
	syntaxError   = regexp.MustCompile(`^failed to parse (.+?): yaml: (?:line (\d+)(?:, column (\d+))?: )?(.*)$`)
	schemaError   = regexp.MustCompile(`^validating (.+?): (\S*) (.*)$`)
	unknownKey    = regexp.MustCompile(`^additional propert(?:y|ies) '([^']+)'`)
	decodeError   = regexp.MustCompile(`(?m)^\s*(?:\* )?'([^']+)' (.*)$`)
	interpolation = regexp.MustCompile(`^error while interpolating ([^:]+): (.*)$`)
	undefined     = regexp.MustCompile(`^service "([^"]+)" (refers to undefined (network|volume|config|secret) (\S+?)|depends on undefined service "?([^":]+)"?)(?:: invalid compose project)?$`)
	ofService     = regexp.MustCompile(`^service "([^"]+)" (.*?)(?:: invalid compose project)?$`)
	badPort       = regexp.MustCompile(`^(?:invalid (?:containerPort|hostPort|port|IP address|proto|range|start port|end port)|no port specified).*$`)
)

// explain turns an error of the loader into one line that says where the
// mistake is. An error that it does not know stays as it is, on one line.
func explain(err error, files []string) error {
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(err.Error())
	e := &FileError{Err: err}
	switch {
	case match(syntaxError, text, func(m []string) {
		e.File, e.Message = relative(m[1]), m[4]+"; check the YAML near there"
		fmt.Sscan(m[2], &e.Line)
		fmt.Sscan(m[3], &e.Column)
	}):
		return e
	case match(schemaError, text, func(m []string) { explainSchema(e, m[2], m[3]) }):
	case match(interpolation, text, func(m []string) { e.Field, e.Message = m[1], m[2] }):
	case match(undefined, text, func(m []string) { explainUndefined(e, m) }):
	case match(ofService, text, func(m []string) { e.Field, e.Message = "services."+m[1], m[2] }):
	case strings.HasPrefix(text, "decoding failed") && match(decodeError, text, func(m []string) {
		e.Field, e.Message = dotted(m[1]), m[2]
	}):
	case badPort.MatchString(text):
		e.Message = text + "; write ports as [[IP:]HOST:]CONTAINER[/tcp|udp]"
		e.at(files, findPort(files, text))
		return e
	default:
		return &FileError{Message: strings.Join(strings.Fields(text), " "), Err: err}
	}
	e.at(files, splitField(e.Field))
	return e
}

func match(re *regexp.Regexp, text string, do func([]string)) bool {
	m := re.FindStringSubmatch(text)
	if m != nil {
		do(m)
	}
	return m != nil
}

func splitField(field string) []string { return strings.Split(field, ".") }

// dotted turns services[a].ports[0] into services.a.ports.0.
func dotted(path string) string {
	return strings.NewReplacer("[", ".", "]", "").Replace(path)
}

func explainSchema(e *FileError, field, what string) {
	e.Field = dotted(field)
	var key string
	switch {
	case match(unknownKey, what, func(m []string) { key = m[1] }):
		e.Field = strings.TrimPrefix(e.Field+"."+key, ".")
	case what == "false schema":
		key = e.Field[strings.LastIndexByte(e.Field, '.')+1:]
	default:
		e.Message = strings.NewReplacer("must be a array", "must be a list", "must be a object", "must be a mapping of keys to values").Replace(what)
		return
	}
	e.Message = fmt.Sprintf("unknown key %q, remove it", key)
	if best := suggest(key, keysOf(strings.Split(e.Field, "."))); best != "" {
		e.Message = fmt.Sprintf("unknown key %q, did you mean %q?", key, best)
	}
}

func explainUndefined(e *FileError, m []string) {
	kind, name := m[3], m[4]
	if name == "" {
		e.Field = "services." + m[1] + ".depends_on"
		e.Message = fmt.Sprintf("undefined service %q; define it, or take it out", m[5])
		return
	}
	e.Field = "services." + m[1] + "." + kind + "s"
	e.Message = fmt.Sprintf("undefined %s %s; define it below the top-level %ss", kind, name, kind)
}

// at finds the place of a path in the files; the last that has most of it
// counts, because later files override earlier ones.
func (e *FileError) at(files []string, path []string) {
	best := -1
	for _, file := range files {
		line, column, depth := position(file, path)
		if depth > 0 && depth >= best {
			best = depth
			e.File, e.Line, e.Column = relative(file), line, column
		}
	}
	if e.File == "" && len(files) > 0 {
		e.File = relative(files[len(files)-1])
	}
}

// relative is a path as seen from the working directory, if that is shorter.
func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

// keysOf are the keys that may stand where the last part of path does.
func keysOf(path []string) []string {
	kinds := map[string]reflect.Type{
		"services": reflect.TypeFor[types.ServiceConfig](), "networks": reflect.TypeFor[types.NetworkConfig](), "volumes": reflect.TypeFor[types.VolumeConfig](),
		"secrets": reflect.TypeFor[types.SecretConfig](), "configs": reflect.TypeFor[types.ConfigObjConfig](),
	}
	if len(path) < 3 {
		return []string{"name", "version", "include", "services", "networks", "volumes", "secrets", "configs"}
	}
	t, ok := kinds[path[0]]
	if !ok {
		return nil
	}
	for _, part := range path[2 : len(path)-1] {
		next, ok := fieldType(t, part)
		if !ok {
			return nil
		}
		t = next
	}
	return tags(t)
}

// tags are the YAML keys of a struct and of those embedded in it.
func tags(t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			keys = append(keys, tags(f.Type)...)
		case name != "" && name != "-":
			keys = append(keys, name)
		}
	}
	return keys
}

// fieldType is the struct that a key of another holds.
func fieldType(t reflect.Type, key string) (reflect.Type, bool) {
	for f := range t.Fields() {
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if inner, ok := fieldType(f.Type, key); ok {
				return inner, true
			}
		}
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name == key {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			return inner, inner.Kind() == reflect.Struct
		}
	}
	return nil, false
}

// suggest is the key most like the one that was written, or "".
func suggest(key string, known []string) string {
	best, distance := "", 3
	slices.Sort(known)
	for _, k := range known {
		if d := levenshtein.Distance(strings.ToLower(key), k, nil); d < distance {
			best, distance = k, d
		}
	}
	return best
}
