package chaos

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kind is how a service behaves. All of them say "begin" and then number their
// lines, by which one sees whether any was lost or doubled.
type kind string

const (
	ticker  kind = "ticker"  // goes on until it is stopped; then it ends with 3
	crasher kind = "crasher" // ends with 5 after 20 lines, and is started again
	oneshot kind = "oneshot" // ends with 7 after 50 lines
	silent  kind = "silent"  // says nothing and looks after nothing: SIGKILL ends it
)

var scripts = map[kind]string{
	ticker:  `trap 'echo end $$i; exit 3' TERM; echo begin; i=0; while :; do echo $$((i+1)); i=$$((i+1)); if [ $$((i%20)) = 0 ]; then usleep 20000; fi; done`,
	crasher: `echo begin; seq 1 20; echo end 20; exit 5`,
	oneshot: `echo begin; seq 1 50; echo end 50; exit 7`,
	silent:  `exec sleep 100000`,
}

// state is what a service's containers should be like.
type state string

const (
	none    state = "none"
	up      state = "up" // running, or what it comes to by itself
	stopped state = "stopped"
	killed  state = "killed"
	paused  state = "paused"
)

// service is one of a stack as the model sees it.
type service struct {
	kind    kind
	tty     bool
	extra   string // further lines of YAML
	version int    // a change makes another container of it
	scale   int
	state   state
	fresh   bool // it was started only once, and never by hand since
}

// stack is the project as it should be.
type stack struct {
	services map[string]*service
	networks int
}

// anonymous is what gives a service's containers volumes of their own.
const anonymous = "    volumes: [\"/data\"]\n"

// newStack makes up a stack and writes its file.
func (w *world) newStack() {
	s := &stack{services: map[string]*service{}, networks: 1 + w.rand.IntN(2)}
	for i := range 2 + w.rand.IntN(3) {
		k := []kind{ticker, ticker, crasher, oneshot, silent}[w.rand.IntN(5)]
		if i == 0 {
			k = ticker
		}
		svc := &service{kind: k, scale: 1, state: none, tty: k == ticker && w.rand.IntN(4) == 0}
		switch w.rand.IntN(6) {
		case 0:
			svc.extra = "    ports: [\"127.0.0.1::80\"]\n"
		case 1:
			svc.extra = "    volumes: [\"data:/data\"]\n"
		case 2:
			svc.extra = anonymous
		case 3:
			svc.extra = "    logging: {options: {max-size: 20k, max-file: \"3\"}}\n"
		case 4:
			svc.extra = "    healthcheck: {test: [CMD, \"true\"], interval: 300ms}\n"
		case 5:
			svc.extra = "    init: true\n"
		}
		if k == crasher {
			svc.extra += "    restart: always\n"
		}
		s.services[fmt.Sprintf("%s%d", k, i)] = svc
	}
	w.stack = s
	w.writeStack()
}

func (w *world) writeStack() {
	var b strings.Builder
	b.WriteString("name: shop\nservices:\n")
	for i, name := range w.stack.names() {
		s := w.stack.services[name]
		grace := "60s" // however loaded the machine is
		if s.kind == silent {
			grace = "100ms" // it does not listen anyway
		}
		fmt.Fprintf(&b, "  %s:\n    image: box\n    stop_grace_period: %s\n    labels: {version: \"%d\"}\n    command: [sh, -c, %q]\n", name, grace, s.version, scripts[s.kind])
		fmt.Fprintf(&b, "    networks: [net%d]\n    tty: %v\n%s", i%w.stack.networks, s.tty, s.extra)
	}
	// Not started by up: it is built, and one-off containers run.
	fmt.Fprintf(&b, "  built:\n    build: .\n    image: built\n    profiles: [hand]\n    networks: [net0]\n")
	b.WriteString("networks:\n")
	for i := range w.stack.networks {
		fmt.Fprintf(&b, "  net%d: {}\n", i)
	}
	b.WriteString("volumes: {data: {}}\n")
	w.file("compose.yaml", b.String())
	w.file("Dockerfile", "FROM box\nRUN echo one > /one\nRUN seq 1 3000 > /many\n")
}

func (w *world) file(name, text string) {
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (s *stack) names() []string { return slices.Sorted(maps.Keys(s.services)) }

// in are the services whose containers are in one of the states.
func (s *stack) in(states ...state) []string {
	return slices.DeleteFunc(s.names(), func(n string) bool { return !slices.Contains(states, s.services[n].state) })
}

// hasTerminal says whether a service has one.
func (s *stack) hasTerminal() bool {
	return slices.ContainsFunc(s.names(), func(n string) bool { return s.services[n].tty })
}
