package build

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/solver/pb"
)

// ExitError is a RUN step's process that has failed.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit code: %d", e.Code) }

// StepError is a Dockerfile instruction that could not be carried out.
type StepError struct {
	File     string // the Dockerfile, as named
	Line     int    // 1 is the first; 0: not known
	EndLine  int
	Step     string   // "[2/4] RUN make"
	Command  string   // of a RUN step, in one line
	ExitCode int      // of a RUN step's process; 0: it is not that
	Output   []string // the last lines that it wrote
	Source   []byte   // of the Dockerfile
	Err      error
}

func (e *StepError) Error() string {
	text := e.Err.Error()
	var exit *ExitError
	if errors.As(e.Err, &exit) {
		text = fmt.Sprintf("process %q did not complete successfully: %v", e.Command, exit)
	}
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, text)
	}
	return text
}

func (e *StepError) Unwrap() error { return e.Err }

// Detail is the step's last output and the place in the Dockerfile, in several
// lines, for people.
func (e *StepError) Detail() string {
	var b strings.Builder
	if len(e.Output) > 0 {
		fmt.Fprintf(&b, "------\n > %s:\n", e.Step)
		for _, l := range e.Output {
			fmt.Fprintln(&b, l)
		}
		fmt.Fprintln(&b, "------")
	}
	b.WriteString(excerpt(e.File, e.Source, e.Line, e.EndLine))
	return b.String()
}

// excerptLines is how many lines of the Dockerfile are shown around a place.
const excerptLines = 4

// excerpt shows the lines first to last of the Dockerfile and some around.
func excerpt(file string, source []byte, first, last int) string {
	if first < 1 || len(source) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(source), "\n"), "\n")
	last = max(last, first)
	from, to := max(first-excerptLines, 1), min(last+excerptLines, len(lines))
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d\n--------------------\n", file, first)
	for n := from; n <= to; n++ {
		mark := "   "
		if n >= first && n <= last {
			mark = ">>>"
		}
		fmt.Fprintf(&b, "%4d | %s %s\n", n, mark, strings.TrimRight(lines[n-1], "\r"))
	}
	b.WriteString("--------------------\n")
	return b.String()
}

// located turns an error of the frontend into one that says where.
func located(err error, file string, source []byte) error {
	var at *parser.LocationError
	if !errors.As(err, &at) {
		return err
	}
	e := &StepError{File: file, Source: source, Err: err}
	for _, ranges := range at.Locations {
		for _, r := range ranges {
			if e.Line == 0 || r.Start.Line < e.Line {
				e.Line = r.Start.Line
			}
			e.EndLine = max(e.EndLine, r.End.Line)
		}
	}
	return e
}

// lines are the first and last line that the locations span.
func lines(list *pb.Locations) (first, last int) {
	for _, l := range list.GetLocations() {
		for _, r := range l.Ranges {
			if n := int(r.Start.GetLine()); first == 0 || n < first {
				first = n
			}
			last = max(last, int(r.End.GetLine()))
		}
	}
	return first, last
}
