package render

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"compose/orchestrator"
)

// Progress shows events as they come.
type Progress interface {
	// Event may be called from several goroutines.
	Event(orchestrator.Event)
	// Suspend erases what is shown and runs fn, which may write to the
	// terminal itself; then it is shown again.
	Suspend(fn func())
	// Close shows the last state and ends.
	Close()
}

// The modes of --progress.
const (
	ModeTTY   = "tty"
	ModePlain = "plain"
	ModeQuiet = "quiet"
	ModeJSON  = "json"
)

// NewProgress gives a progress display in one of the modes. A terminal's says
// what goes on in its first line, by default "Running".
func NewProgress(w io.Writer, mode string, color bool) Progress {
	switch mode {
	case ModeTTY:
		return newTerminal(w, color)
	case ModeQuiet:
		return quiet{}
	case ModeJSON:
		return &jsonLines{enc: json.NewEncoder(w)}
	default:
		return &plain{w: w, last: map[string]string{}}
	}
}

type quiet struct{}

func (quiet) Event(orchestrator.Event) {}
func (quiet) Suspend(fn func())        { fn() }
func (quiet) Close()                   {}

// plain writes a line an event, for files and pipes.
type plain struct {
	mu   sync.Mutex
	w    io.Writer
	last map[string]string
}

func (p *plain) Event(e orchestrator.Event) {
	line := fmt.Sprintf(" %s  %s", e.ID, e.Text)
	if e.Detail != "" {
		line += " " + e.Detail
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last[e.ID] == line {
		return // more bytes of the same
	}
	p.last[e.ID] = line
	fmt.Fprintln(p.w, line)
}

func (p *plain) Suspend(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

func (p *plain) Close() {}

// jsonLines writes a JSON object an event.
type jsonLines struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func (j *jsonLines) Event(e orchestrator.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.enc.Encode(struct {
		ID      string `json:"id"`
		Parent  string `json:"parent_id,omitempty"`
		Status  string `json:"status"`
		Text    string `json:"text,omitempty"`
		Details string `json:"details,omitempty"`
		Current int64  `json:"current,omitempty"`
		Total   int64  `json:"total,omitempty"`
	}{e.ID, e.Parent, [...]string{"Working", "Done", "Warning", "Error"}[e.Status], e.Text, e.Detail, e.Current, e.Total})
}

func (j *jsonLines) Suspend(fn func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fn()
}

func (j *jsonLines) Close() {}
