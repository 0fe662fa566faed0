package progress

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/engine/build"
)

// rawJSON writes one object a piece of news, in the form of BuildKit's
// SolveStatus.
type rawJSON struct {
	mu      sync.Mutex
	enc     *json.Encoder
	started map[digest.Digest]*time.Time
}

func newRawJSON(w io.Writer) *rawJSON {
	return &rawJSON{enc: json.NewEncoder(w), started: map[digest.Digest]*time.Time{}}
}

type solveStatus struct {
	Vertexes []rawVertex  `json:"vertexes,omitempty"`
	Statuses []rawStatus  `json:"statuses,omitempty"`
	Logs     []rawLog     `json:"logs,omitempty"`
	Warnings []rawWarning `json:"warnings,omitempty"`
}

type rawVertex struct {
	Digest    digest.Digest `json:"digest"`
	Name      string        `json:"name"`
	Started   *time.Time    `json:"started,omitempty"`
	Completed *time.Time    `json:"completed,omitempty"`
	Cached    bool          `json:"cached,omitempty"`
	Error     string        `json:"error,omitempty"`
}

type rawStatus struct {
	ID        string        `json:"id"`
	Vertex    digest.Digest `json:"vertex"`
	Name      string        `json:"name,omitempty"`
	Total     int64         `json:"total,omitempty"`
	Current   int64         `json:"current"`
	Timestamp time.Time     `json:"timestamp"`
	Completed *time.Time    `json:"completed,omitempty"`
}

type rawLog struct {
	Vertex    digest.Digest `json:"vertex"`
	Stream    int           `json:"stream,omitempty"`
	Data      []byte        `json:"data"`
	Timestamp time.Time     `json:"timestamp"`
}

type rawWarning struct {
	Vertex digest.Digest `json:"vertex,omitempty"`
	Level  int           `json:"level,omitempty"`
	Short  []byte        `json:"short,omitempty"`
	Detail [][]byte      `json:"detail,omitempty"`
	URL    string        `json:"url,omitempty"`
}

func (r *rawJSON) Event(e build.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out solveStatus
	switch {
	case e.Warning != nil:
		short := e.Warning.Rule + ": " + e.Warning.Message
		out.Warnings = []rawWarning{{Vertex: e.Vertex, Level: 1, Short: []byte(short), Detail: [][]byte{[]byte(e.Warning.Detail)}, URL: e.Warning.URL}}
	case len(e.Log) > 0:
		out.Logs = []rawLog{{e.Vertex, e.LogStream, e.Log, e.LogTime}}
	case e.Status != nil:
		now := time.Now()
		s := rawStatus{ID: e.Status.ID, Vertex: e.Vertex, Name: e.Status.Text, Total: e.Status.Total, Current: e.Status.Current, Timestamp: now}
		if e.Status.Done {
			s.Completed = &now
		}
		out.Statuses = []rawStatus{s}
	default:
		if e.Started != nil {
			r.started[e.Vertex] = e.Started
		}
		out.Vertexes = []rawVertex{{e.Vertex, e.Name, r.started[e.Vertex], e.Completed, e.Cached, e.Error}}
	}
	_ = r.enc.Encode(out) // nobody reads it any more
}

func (r *rawJSON) Close() {}
