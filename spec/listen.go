package spec

import (
	"io"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"
)

// listener hears what the loader warns of, which it says to logrus only.
type listener struct {
	before   logrus.LevelHooks
	level    logrus.Level
	output   io.Writer
	mu       sync.Mutex
	messages []string
}

// listen begins to hear, until stop.
func listen() *listener {
	log := logrus.StandardLogger()
	l := &listener{level: log.GetLevel(), output: log.Out}
	l.before = log.ReplaceHooks(logrus.LevelHooks{logrus.WarnLevel: {l}})
	log.SetLevel(logrus.WarnLevel)
	log.SetOutput(io.Discard)
	return l
}

func (l *listener) stop() {
	log := logrus.StandardLogger()
	log.ReplaceHooks(l.before)
	log.SetLevel(l.level)
	log.SetOutput(l.output)
}

// Levels is for logrus.
func (l *listener) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

// Fire is for logrus.
func (l *listener) Fire(e *logrus.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.messages, e.Message) { // each use of an unset variable is one
		l.messages = append(l.messages, e.Message)
	}
	return nil
}

func (l *listener) warnings() []Warning {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Warning
	for _, m := range l.messages {
		out = append(out, Warning{Message: m})
	}
	return out
}
