// Package logs reads what containers wrote: Docker's json-file format, a JSON
// object a line, in a file that is rotated to .1, .2, ...
package logs

import (
	"bytes"
	"encoding/json"
	"time"
)

// Entry is what a container wrote in one go: a line with its line feed, or a
// piece of a long one.
type Entry struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"` // "stdout" or "stderr"
	Time   time.Time `json:"time"`
}

var (
	logKey    = []byte(`{"log":"`)
	streamKey = []byte(`","stream":"`)
	timeKey   = []byte(`","time":"`)
)

// parse decodes one line of the file. Nearly all lines are as we write them,
// without escapes but the line feed at the end, and need no JSON decoder.
func parse(line []byte) (Entry, error) {
	if e, ok := parsePlain(line); ok {
		return e, nil
	}
	var e Entry
	err := json.Unmarshal(line, &e)
	return e, err
}

func parsePlain(line []byte) (e Entry, ok bool) {
	rest, ok := bytes.CutPrefix(line, logKey)
	if !ok {
		return e, false
	}
	text, rest, ok := bytes.Cut(rest, streamKey)
	if !ok {
		return e, false
	}
	feed := bytes.HasSuffix(text, []byte(`\n`))
	if feed {
		text = text[:len(text)-2]
	}
	if bytes.IndexByte(text, '\\') >= 0 || bytes.IndexByte(text, '"') >= 0 {
		return e, false
	}
	stream, rest, ok := bytes.Cut(rest, timeKey)
	if !ok {
		return e, false
	}
	at, ok := bytes.CutSuffix(bytes.TrimSuffix(rest, []byte("\n")), []byte(`"}`))
	if !ok {
		return e, false
	}
	if err := e.Time.UnmarshalText(at); err != nil {
		return e, false
	}
	switch string(stream) {
	case "stdout":
		e.Stream = "stdout"
	case "stderr":
		e.Stream = "stderr"
	default:
		return e, false
	}
	if feed {
		e.Log = string(append(text[:len(text):len(text)], '\n'))
	} else {
		e.Log = string(text)
	}
	return e, true
}
