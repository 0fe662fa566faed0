package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// TestProvider has a program of somebody else's make what a service stands for.
func TestProvider(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("prov", "cloud", `#!/bin/sh
echo "$*" >>calls
case "$*" in
"compose metadata")
	echo '{"description":"a cloud","up":{"parameters":[{"name":"size","required":true},{"name":"zone"}]},"down":{"parameters":[]},"stop":{"parameters":[]}}' ;;
*" up "*)
	echo '{"type":"info","message":"pulling 25%"}'
	echo '{"type":"debug","message":"hush"}'
	echo '{"type":"setenv","message":"URL=https://cloud.example/db"}'
	echo '{"type":"rawsetenv","message":"TOKEN=abc=def"}' ;;
esac
`, "broken", `#!/bin/sh
case "$*" in
*" up "*) echo '{"type":"error","message":"no more room"}'; sleep 1000 ;;
esac
`, "silent", "#!/bin/sh\ntest \"$2\" != metadata || exit 1\necho \"$*\" >>said\necho oh dear >&2\nexit 3\n", "compose.yml", `
services:
  database:
    provider: {type: ./cloud, options: {size: 5, zone: [a, b], unknown: x}}
  app:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    depends_on: [database]
  alone: {image: busybox, command: sleep 600, stop_grace_period: 0s}
  bad: {profiles: [bad], provider: {type: ./broken}}
  worse: {profiles: [worse], provider: {type: ./silent, options: {any: thing}}}
  missing: {profiles: [missing], provider: {type: nosuchcloud}}
  poor: {profiles: [poor], provider: {type: ./cloud}}
`)
	for _, program := range []string{"cloud", "broken", "silent"} {
		if err := os.Chmod(filepath.Join(dir, program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name, want string) {
		t.Helper()
		data, _ := os.ReadFile(filepath.Join(dir, name))
		if string(data) != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, data, want)
		}
		_ = os.Remove(filepath.Join(dir, name))
	}
	up := h.in(dir, "up", "-d").ok()
	for _, want := range []string{"database  Creating", "database  pulling 25%", "database  Created"} {
		up.fails(0, want)
	}
	file("calls", "compose metadata\ncompose --project-name=prov up --size=5 --zone=a --zone=b database\n")
	h.in(dir, "exec", "-T", "app", "sh", "-c", "echo $DATABASE_URL $TOKEN").says("https://cloud.example/db abc=def")
	h.in(dir, "exec", "-T", "alone", "sh", "-c", "echo none$DATABASE_URL$TOKEN").says("none")
	id := h.in(dir, "ps", "-q").ok().stdout
	h.in(dir, "up", "-d").ok()
	h.in(dir, "ps", "-q").says(id)
	_ = os.Remove(filepath.Join(dir, "calls"))
	h.in(dir, "stop").ok()
	file("calls", "compose metadata\ncompose --project-name=prov stop database\n")
	h.in(dir, "up", "-d", "bad").fails(1, "no more room")
	h.in(dir, "up", "-d", "worse").fails(1, "exit status 3: oh dear")
	file("said", "compose --project-name=prov up --any=thing worse\n")
	h.in(dir, "up", "-d", "missing").fails(1, "services.missing.provider: there is no program nosuchcloud in PATH, nor docker-nosuchcloud among docker's plugins; install it")
	h.in(dir, "up", "-d", "poor").fails(1, `required parameter "size" is missing from provider "./cloud" definition`)
	_ = os.Remove(filepath.Join(dir, "calls"))
	h.in(dir, "down").ok()
	file("calls", "compose metadata\ncompose --project-name=prov down database\n")
}
