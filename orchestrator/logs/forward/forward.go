// Package forward sends what containers write to the host's log services:
// Docker's logging drivers syslog and journald.
package forward

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"text/template"
	"time"
)

// Container is what messages say of their origin.
type Container struct {
	ID, Name           string
	ImageID, ImageName string
	Labels             map[string]string
	Env                []string // "K=V"
}

// maxLine is how long a line may get before it is sent in parts, in bytes.
const maxLine = 16 << 10

// Forward sends the lines of one container. Its methods may be called from
// several goroutines.
type Forward struct {
	service service
	warn    func(error)

	mu     sync.Mutex
	rest   map[string][]byte // by stream: a line that has not ended
	warned time.Time
}

// service is where lines go.
type service interface {
	send(stream string, line []byte) error
	close()
}

// Is says whether a logging driver is one of this package's.
func Is(driver string) bool { return driver == "syslog" || driver == "journald" }

// Open connects to the service of a driver, with Docker's options. warn is
// told, once a minute at most, when lines could not be sent.
func Open(driver string, options map[string]string, c Container, warn func(error)) (*Forward, error) {
	tag, err := tagOf(options["tag"], c)
	if err != nil {
		return nil, err
	}
	var s service
	if driver == "journald" {
		s, err = openJournal(journalSocket, options, c, tag)
	} else {
		s, err = openSyslog(options, tag)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to initialize logging driver %s: %w", driver, err)
	}
	return &Forward{service: s, warn: warn, rest: map[string][]byte{}}, nil
}

// Write takes over a piece of a stream.
func (f *Forward) Write(stream string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		line := append(f.rest[stream], data[:max(end, 0)]...)
		if end < 0 {
			if line = append(line, data...); len(line) < maxLine {
				f.rest[stream] = line
				return
			}
			data = nil
		} else {
			data = data[end+1:]
		}
		f.rest[stream] = nil
		f.send(stream, line)
	}
}

func (f *Forward) send(stream string, line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return
	}
	if err := f.service.send(stream, line); err != nil && time.Since(f.warned) > time.Minute {
		f.warned = time.Now()
		f.warn(err)
	}
}

// Close sends what is left and ends the connection. It is safe to call on nil.
func (f *Forward) Close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream, line := range f.rest {
		f.send(stream, line)
	}
	f.service.close()
}

// tagOf is what Docker's option tag comes to.
func tagOf(text string, c Container) (string, error) {
	if text == "" {
		text = "{{.ID}}"
	}
	t, err := template.New("").Parse(text)
	if err != nil {
		return "", fmt.Errorf("logging option tag: %w", err)
	}
	short := func(id string) string {
		id = strings.TrimPrefix(id, "sha256:")
		return id[:min(12, len(id))]
	}
	var out strings.Builder
	err = t.Execute(&out, map[string]string{
		"ID": short(c.ID), "FullID": c.ID, "Name": c.Name, "ImageID": short(c.ImageID), "ImageFullID": c.ImageID, "ImageName": c.ImageName,
		"DaemonName": "docker",
	})
	if err != nil {
		return "", fmt.Errorf("logging option tag: %w", err)
	}
	return out.String(), nil
}
