package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"compose/engine"
	"compose/netbridge"
	"compose/orchestrator"
)

func TestPlain(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, ModePlain, false)
	p.Event(orchestrator.Event{ID: "Container x-web-1", Text: "Starting"})
	p.Event(orchestrator.Event{ID: "Container x-web-1", Text: "Starting", Current: 5})
	p.Event(orchestrator.Event{ID: "Container x-web-1", Status: orchestrator.Done, Text: "Started"})
	p.Event(orchestrator.Event{ID: "Container x-db-1", Status: orchestrator.Failed, Text: "Error", Detail: "no"})
	p.Close()
	want := " Container x-web-1  Starting\n Container x-web-1  Started\n Container x-db-1  Error no\n"
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

// screen is what a terminal shows after some output: enough of one for ours.
func screen(out string) []string {
	var lines []string
	row := 0
	for part := range strings.SplitAfterSeq(out, "\n") {
		for {
			var up int
			if rest, ok := strings.CutPrefix(part, "\x1b[0J"); ok {
				lines, part = lines[:row], rest
			} else if n, _ := fmt.Sscanf(part, "\x1b[%dA", &up); n == 1 {
				row -= up
				_, part, _ = strings.Cut(part, "A")
			} else {
				break
			}
		}
		if part == "" {
			continue
		}
		lines = append(lines[:row], append([]string{strings.TrimSuffix(strings.TrimSuffix(part, "\n"), "\x1b[0K")}, lines[min(row+1, len(lines)):]...)...)
		row++
	}
	return lines
}

func TestTerminal(t *testing.T) {
	var b bytes.Buffer
	p := newTerminal(&b, false)
	close(p.stop) // drawn by hand here
	<-p.ended
	now := time.Unix(100, 0)
	p.now = func() time.Time { return now }
	p.size = func() (int, int) { return 50, 24 }
	draw := func() {
		p.mu.Lock()
		p.draw()
		p.mu.Unlock()
	}
	p.Event(orchestrator.Event{ID: "Network x_default", Text: "Creating"})
	p.Event(orchestrator.Event{ID: "Image app", Text: "Pulling"})
	p.Event(orchestrator.Event{ID: "layer", Parent: "Image app", Text: "Downloading", Current: 1500, Total: 3000})
	draw()
	now = now.Add(300 * time.Millisecond)
	p.Event(orchestrator.Event{ID: "Network x_default", Status: orchestrator.Done, Text: "Created"})
	draw()
	p.Event(orchestrator.Event{ID: "Image app", Status: orchestrator.Failed, Text: "Error", Detail: "a message that is too\nlong for a line"})
	draw()
	got := screen(b.String())
	want := []string{
		"[+] Running 2/2",
		" ✔ Network x_default  Created                0.3s",
		" ✘ Image app          Error a message that…  0.3s",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(b.String(), "Pulling 1.5kB / 3kB") {
		t.Errorf("no byte counts in %q", b.String())
	}
	p.Suspend(func() { b.WriteString("between\n") })
	draw()
	if got := screen(b.String()); got[0] != "between" || len(got) != 4 {
		t.Errorf("after Suspend: %q", got)
	}
}

func TestLogs(t *testing.T) {
	var b bytes.Buffer
	l := NewLogs(&b)
	l.Prefix, l.Color, l.Timestamps = true, true, true
	l.Register("web-1", "database-1")
	at := time.Date(2024, 5, 6, 7, 8, 9, 10, time.FixedZone("", 3600))
	l.Line("web-1", "hello\n", at)
	l.Line("database-1", "there", at)
	l.Status("web-1", "exited with code 3")
	want := "\x1b[36mweb-1       | \x1b[0m2024-05-06T06:08:09.000000010Z hello\n" +
		"\x1b[33mdatabase-1  | \x1b[0m2024-05-06T06:08:09.000000010Z there\n" +
		"\x1b[36m\r\x1b[Kweb-1 exited with code 3\x1b[0m\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
	b.Reset()
	l = NewLogs(&b)
	l.Line("web-1", "x", at)
	l.Flush()
	if b.String() != "x\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestPortsColumn(t *testing.T) {
	ip := netip.MustParseAddr
	c := &orchestrator.Container{
		Container: &engine.Container{Spec: engine.ContainerSpec{Expose: []string{"443/tcp", "444/tcp", "80/tcp", "53/udp"}}},
		State: &engine.State{Status: engine.Running, Ports: []netbridge.PublishedPort{
			{HostIP: ip("0.0.0.0"), HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
			{HostIP: ip("::"), HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
			{HostIP: ip("127.0.0.1"), HostPort: 9001, ContainerPort: 91, Protocol: "tcp"},
			{HostIP: ip("127.0.0.1"), HostPort: 9000, ContainerPort: 90, Protocol: "tcp"},
		}},
	}
	got := PortsColumn(publishers(c))
	want := "53/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 127.0.0.1:9000-9001->90-91/tcp, 443-444/tcp"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.State.Status = engine.Exited
	if got := PortsColumn(publishers(c)); got != "" {
		t.Errorf("of one that has ended: %s", got)
	}
}

func TestStatus(t *testing.T) {
	now := time.Unix(10000, 0)
	for want, s := range map[string]engine.State{
		"Created":                         {Status: engine.Created},
		"Up 2 minutes":                    {Status: engine.Running, StartedAt: now.Add(-2 * time.Minute)},
		"Up 5 seconds (health: starting)": {Status: engine.Running, StartedAt: now.Add(-5 * time.Second), Health: &engine.Health{Status: "starting"}},
		"Up 5 seconds (healthy)":          {Status: engine.Running, StartedAt: now.Add(-5 * time.Second), Health: &engine.Health{Status: "healthy"}},
		"Up 5 seconds (Paused)":           {Status: engine.Paused, StartedAt: now.Add(-5 * time.Second)},
		"Exited (137) 3 hours ago":        {Status: engine.Exited, ExitCode: 137, FinishedAt: now.Add(-3 * time.Hour)},
		"Restarting (1) 4 seconds ago":    {Status: engine.Restarting, ExitCode: 1, FinishedAt: now.Add(-4 * time.Second)},
	} {
		if got := status(&s, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestContainers(t *testing.T) {
	now := time.Unix(10000, 0)
	c := &orchestrator.Container{
		Service: "web", Number: 1,
		Container: &engine.Container{
			ID: strings.Repeat("0123456789abcdef", 4), Created: now.Add(-time.Minute),
			Spec: engine.ContainerSpec{Name: "shop-web-1", Image: "nginx", Entrypoint: []string{"/docker-entrypoint.sh"}, Command: []string{"nginx", "-g"}, Labels: map[string]string{"a": "b"}},
		},
		State: &engine.State{Status: engine.Running, StartedAt: now.Add(-time.Minute)},
	}
	rows := []*ContainerRow{NewContainerRow(c, now, true)}
	print := func(format string) string {
		var b bytes.Buffer
		if err := Containers(&b, format, rows); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := "NAME         IMAGE     COMMAND                  SERVICE   CREATED              STATUS              PORTS\n" +
		"shop-web-1   nginx     \"/docker-entrypoint.…\"   web       About a minute ago   Up About a minute   \n"
	if got := print(""); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := print(`table {{.ID}}\t{{.Label "a"}}`); got != "CONTAINER ID   A\n0123456789ab   b\n" {
		t.Errorf("got %q", got)
	}
	if got := print("{{.Name}} {{.State | upper}}"); got != "shop-web-1 RUNNING\n" {
		t.Errorf("got %q", got)
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(print("json")), &back); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"Command", "CreatedAt", "ExitCode", "Health", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Name", "Names", "Networks", "Ports", "Project", "Publishers", "RunningFor", "Service", "Size", "State", "Status"} {
		if _, ok := back[k]; !ok {
			t.Errorf("no field %s in %v", k, back)
		}
	}
	if err := Containers(&bytes.Buffer{}, "{{.Nope}}", rows); err == nil {
		t.Error("an unknown field is no error")
	}
}
