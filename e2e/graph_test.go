package e2e

import (
	"strings"
	"testing"
)

const graphed = `
services:
  web:
    image: x
    depends_on: {db: {condition: service_healthy}, cache: {condition: service_started, required: false}}
    links: [db]
  db: {image: x}
  cache: {image: x, network_mode: "service:db"}
`

// TestGraph prints which services need which.
func TestGraph(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := h.project("g", "compose.yml", graphed)
	h.in(dir, "graph").ok().says(`cache
└─ db (network_mode, service_started)
db
web
├─ cache (service_started, optional)
└─ db (links, service_healthy)`)
	h.in(dir, "graph", "--format", "dot", "cache").ok().says(`digraph services {
  "cache";
  "cache" -> "db" [label="network_mode, service_started"];
  "db";
}`)
	h.in(dir, "graph", "--format", "mermaid", "cache").ok().says(`graph TD
  s0["cache"]
  s1["db"]
  s0 -->|"network_mode, service_started"| s1`)
	h.in(dir, "graph", "--format", "png").fails(1, `invalid --format value "png"`)
}

// TestCompletion offers services where a verb takes them.
func TestCompletion(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := h.project("g", "compose.yml", graphed)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up", ""}, "cache db web"},
		{[]string{"logs", "db", "w"}, "web"},
		{[]string{"exec", "d"}, "db"},
		{[]string{"-f", "compose.yml", "restart", "c"}, "cache"},
		{[]string{"version", ""}, ""},
	} {
		out := h.in(dir, append([]string{"__complete"}, c.args...)...).ok().stdout
		names, _, _ := strings.Cut(out, ":")
		if got := strings.Join(strings.Fields(names), " "); got != c.want {
			t.Errorf("complete %q: %s, want %s", c.args, got, c.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := h.in(dir, "completion", shell).ok().stdout; !strings.Contains(out, "__complete") {
			t.Errorf("completion %s lacks the call of the program", shell)
		}
	}
}
