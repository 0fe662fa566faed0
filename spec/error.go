package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"

	"compose/internal/lazy"
)

// FileError is something wrong in a Compose file: where, with which field, what,
// and what to do about it. It is one line.
type FileError struct {
	File         string // "" where it cannot be told
	Line, Column int    // from 1; 0 where they cannot be told
	Field        string // "services.web.ports", or ""
	Message      string
	Err          error // the loader's own
}

func (e *FileError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, max(e.Column, 1))
		}
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

func (e *FileError) Unwrap() error { return e.Err }

// explain turns an error of the loader into ours. The loader tells which field
// is wrong in the words of half a dozen libraries, and not where it is.
func explain(err error, o *cli.ProjectOptions) error {
	if err == nil || errors.Is(err, ErrNoFile) {
		return err
	}
	files, syntax := readFiles(o.ConfigPaths)
	if syntax != nil {
		return syntax
	}
	e := interpret(oneLine(err.Error()), files)
	if e.Err == nil {
		e.Err = err
	}
	if e.File == "" && len(files) > 0 && e.Field != "" {
		e.File, e.Line, e.Column = files.locate(e.Field)
	}
	return e
}

// oneLine keeps the first of several errors.
func oneLine(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasSuffix(line, "following error(s):") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return s
	}
	if strings.HasPrefix(lines[0], "'") || interpolating().MatchString(lines[0]) { // a list of them
		return lines[0]
	}
	return strings.Join(lines, " ")
}

// The shapes of the loader's messages.
var (
	validating    = lazy.Regexp(`^validating (?:.*?): (\S*) (.*)$`)
	interpolating = lazy.Regexp(`^(?:error while interpolating|invalid interpolation format for) (\S+?):? (.*)$`)
	decoding      = lazy.Regexp(`^'([^']+)' (.*)$`)
	undefined     = lazy.Regexp(`^service "([^"]+)" refers to undefined (build secret|\w+) (\S+?)(?:: .*)?$`)
	unknownDep    = lazy.Regexp(`^service "([^"]+)" depends on (?:undefined|unknown) service "([^"]+)"`)
	ofService     = lazy.Regexp(`^service "([^"]+)" (.*)$`)
	ofField       = lazy.Regexp(`^((?:services|networks|volumes|secrets|configs|models|include|extends)(?:[.\[][^:\s]*)?): (.*)$`)
	invalidSuffix = lazy.Regexp(`: invalid compose project$`)
	badDuration   = lazy.Regexp(`invalid duration "?([^"]*)"?`)
	additional    = lazy.Regexp(`additional properties '([^']+)'`)
	circle        = lazy.Regexp(`^dependency cycle detected: (.*)$`)
	badPort       = lazy.Regexp(`^(?:invalid (?:containerPort|hostPort|proto|IP address|ip address|range format)|no port specified|invalid port|invalid IP).*?: ?"?([^"\s]*)"?.*$`)
	badCast       = lazy.Regexp(`failed to cast to expected type: (?:strconv\.(?:Parse)?(Atoi|Int|Float|Uint): parsing "(.*)": .*|(invalid boolean): (.*))`)
	badKey        = lazy.Regexp(`^non-string key (?:in (\S+)|at top level): (.*)$`)
	topLevel      = lazy.Regexp(`^(services|networks|volumes|secrets|configs|models|jobs) (must be .*)$`)
	badDollar     = lazy.Regexp(`^invalid interpolation format for (\S+)\. You may need to escape any \$ with another \$\. (.*)$`)
	noTarget      = lazy.Regexp(`^service volume (services\.\S+) is missing a mount target$`)
	exclusive     = lazy.Regexp(`^service (\S+) (declares mutually exclusive .*)$`)
	badExtends    = lazy.Regexp(`^cannot extend service "([^"]+)" in (.+): service "([^"]+)" not found$`)
	noSuchFile    = lazy.Regexp(`^open (.+): no such file or directory$`)
	noEnvFile     = lazy.Regexp(`^env file (.+?) not found: stat .*$`)
	badVolume     = lazy.Regexp(`^invalid spec: (\S+): .*$`)
	duplicateKey  = lazy.Regexp(`line (\d+): mapping key "?([^"]+?)"? already defined at line (\d+)`)
)

// interpret finds the field that a message is about, and says it better.
func interpret(message string, files fileList) *FileError {
	message = invalidSuffix().ReplaceAllString(message, "")
	if m := duplicateKey().FindStringSubmatch(message); m != nil {
		return files.duplicate(m[1], m[2], m[3], message)
	}
	if m := circle().FindStringSubmatch(message); m != nil {
		cycle := &CycleError{Path: strings.Split(m[1], " -> ")}
		return &FileError{Field: "services." + cycle.Path[0] + ".depends_on", Message: cycle.Error(), Err: cycle}
	}
	if m := validating().FindStringSubmatch(message); m != nil {
		return invalid(m[1], m[2])
	}
	if m := badDollar().FindStringSubmatch(message); m != nil {
		return &FileError{Field: m[1], Message: fmt.Sprintf("%q is no variable; write $$ for a dollar sign", m[2])}
	}
	if m := interpolating().FindStringSubmatch(message); m != nil {
		return &FileError{Field: m[1], Message: decoded(strings.TrimPrefix(m[2], "invalid interpolation format for "+m[1]+"."))}
	}
	if m := badKey().FindStringSubmatch(message); m != nil {
		return &FileError{Field: m[1], Message: "the key " + strings.Replace(m[2], "<nil>", "null", 1) + " is no text; put it in quotes"}
	}
	if m := topLevel().FindStringSubmatch(message); m != nil {
		return invalid(m[1], m[2])
	}
	if m := decoding().FindStringSubmatch(message); m != nil {
		return &FileError{Field: dotted(m[1]), Message: decoded(m[2])}
	}
	if m := undefined().FindStringSubmatch(message); m != nil {
		return undeclared(m[1], m[2], m[3], files)
	}
	if m := unknownDep().FindStringSubmatch(message); m != nil {
		return &FileError{
			Field:   "services." + m[1] + ".depends_on." + m[2],
			Message: fmt.Sprintf("there is no service %q%s", m[2], suggest(m[2], files.keys("services"), "; declare it under services")),
		}
	}
	if m := ofService().FindStringSubmatch(message); m != nil {
		return &FileError{Field: "services." + m[1], Message: advise(m[2])}
	}
	if m := ofField().FindStringSubmatch(message); m != nil {
		return &FileError{Field: dotted(m[1]), Message: decoded(m[2])}
	}
	if m := noTarget().FindStringSubmatch(message); m != nil {
		return &FileError{Field: dotted(m[1]), Message: "target is missing; it is the path in the container"}
	}
	if m := exclusive().FindStringSubmatch(message); m != nil {
		return &FileError{Field: "services." + m[1], Message: m[2] + "; remove one of them"}
	}
	if m := badExtends().FindStringSubmatch(message); m != nil {
		return &FileError{Field: "services." + m[1] + ".extends", Message: fmt.Sprintf("there is no service %q in %s to extend", m[3], shown(m[2]))}
	}
	if m := noSuchFile().FindStringSubmatch(message); m != nil {
		return files.naming(m[1], shown(m[1])+": no such file or directory; correct the path")
	}
	if m := noEnvFile().FindStringSubmatch(message); m != nil {
		return files.naming(m[1], "there is no env_file "+shown(m[1])+"; create it, or give it required: false")
	}
	switch message {
	case "empty compose file":
		return files.whole("the file is empty; it needs at least services")
	case "top-level object must be a mapping":
		return files.whole("this is no Compose file; it has to begin with a key, such as services")
	}
	if m := badVolume().FindStringSubmatch(message); m != nil {
		return files.entry("volumes", strings.Contains, m[1], message+"; write a volume as [SOURCE:]TARGET[:MODE]")
	}
	if m := badPort().FindStringSubmatch(message); m != nil {
		if text, isEnd := strings.CutSuffix(m[1], "<empty>"); isEnd {
			return files.entry("ports", strings.HasSuffix, text, "a port is missing; write it as [[IP:]HOST:]CONTAINER[/PROTOCOL]")
		}
		return files.entry("ports", strings.Contains, m[1], message+"; write a port as [[IP:]HOST:]CONTAINER[/PROTOCOL]")
	}
	return &FileError{Message: message}
}

// invalid is what the schema refuses.
func invalid(field, what string) *FileError {
	e := &FileError{Field: field}
	if m := additional().FindStringSubmatch(what); m != nil {
		e.Field = strings.TrimPrefix(field+"."+m[1], ".")
		field, what = e.Field, "false schema"
	}
	switch {
	case strings.Contains(what, "false schema"):
		key := field[strings.LastIndexByte(field, '.')+1:]
		if parent := strings.TrimSuffix(field, "."+key); siblings(field) == nil && topLevelNames[parent] {
			e.Message = fmt.Sprintf("%q is not a name; use letters, digits, dots, dashes and underscores", key)
			break
		}
		e.Message = "unknown field" + suggest(key, siblings(field), "; remove it, or correct its name")
	case strings.HasPrefix(what, "must be a array"):
		e.Message = "must be a list; write each entry on a line of its own behind a dash"
	case what == "must be a string":
		e.Message = what + "; put it in quotes"
	case strings.HasPrefix(what, "must be a "):
		e.Message = what + "; see the Compose file reference for its form"
	default:
		e.Message = decoded(what)
	}
	return e
}

// topLevelNames are the elements whose keys are names that users give.
var topLevelNames = map[string]bool{"services": true, "networks": true, "volumes": true, "configs": true, "secrets": true, "models": true, "jobs": true}

// undeclared is a reference of a service to something at the top level.
func undeclared(service, kind, name string, files fileList) *FileError {
	section, place := kind+"s", "services."+service+"."+kind+"s"
	if kind == "build secret" {
		section, place = "secrets", "services."+service+".build.secrets"
	}
	e := &FileError{
		Field:   place,
		Message: fmt.Sprintf("%s %q is not declared%s", kind, name, suggest(name, files.keys(section), "; add it under the top-level "+section)),
	}
	e.File, e.Line, e.Column = files.mention(place, name)
	return e
}

// decoded says in other words what the decoders complain of.
func decoded(what string) string {
	if m := badDuration().FindStringSubmatch(what); m != nil {
		return fmt.Sprintf("%q is not a duration; write it as 30s or 1m30s", m[1])
	}
	if m := badCast().FindStringSubmatch(what); m != nil {
		kind := map[string]string{"Atoi": "a whole number", "Int": "a whole number", "Uint": "a whole number", "Float": "a number"}[m[1]]
		if kind == "" {
			kind = "true or false"
		}
		return fmt.Sprintf("%q is not %s", m[2]+m[4], kind)
	}
	return advise(what)
}

func advise(what string) string {
	if strings.HasPrefix(what, "has neither an image nor a build context specified") {
		return "neither image nor build is given; add one of them"
	}
	return what
}

// dotted turns services[a].ports[0] into services.a.ports.0.
func dotted(field string) string {
	field = strings.NewReplacer("[", ".", "]", "").Replace(field)
	return strings.Trim(strings.ReplaceAll(field, "..", "."), ".")
}

// suggest names the closest of the known words, or falls back.
func suggest(word string, known []string, otherwise string) string {
	best, distance := "", 3
	switch {
	case len(word) <= 2:
		distance = 0
	case len(word) <= 3:
		distance = 2
	}
	slices.Sort(known)
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
