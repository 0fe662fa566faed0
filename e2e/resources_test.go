package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestVolumeVerbs takes volumes through their life.
func TestVolumeVerbs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("volume", "create", "--label", "tier=db", "data").says("data")
	anonymous := strings.TrimSpace(h.docker("volume", "create").ok().stdout)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(anonymous) {
		t.Errorf("a volume without a name is called %q", anonymous)
	}
	h.docker("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept > /data/file").ok()
	h.docker("run", "--name", "reader", "-v", "data:/data:ro", "busybox", "cat", "/data/file").says("kept")
	h.docker("volume", "ls", "-q", "--filter", "label=tier=db").says("data")
	h.docker("volume", "ls", "-q", "--filter", "dangling=true").says(anonymous)
	h.docker("volume", "ls", "--filter", "name=dat").says("DRIVER    VOLUME NAME\nlocal     data")
	h.docker("volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Labels.tier}} {{.Mountpoint}}", "data").says("data local db " + h.root + "/volumes/data/_data")
	h.docker("inspect", "--type", "volume", "-f", "{{.Scope}}", "data").says("local")
	h.docker("volume", "rm", "data").fails(1, "volume is in use")
	h.docker("volume", "rm", "nosuch").fails(1, "no such volume: nosuch")
	h.docker("volume", "rm", "-f", "nosuch").ok()
	if out := h.docker("volume", "prune", "-f").ok().stdout; !strings.HasPrefix(out, "Deleted Volumes:\n"+anonymous+"\n\nTotal reclaimed space: ") {
		t.Errorf("volume prune: %q", out)
	}
	h.docker("rm", "reader").ok()
	if out := h.docker("volume", "prune", "-af").ok().stdout; out != "Deleted Volumes:\ndata\n\nTotal reclaimed space: 5B\n" {
		t.Errorf("volume prune -a: %q", out)
	}
	h.docker("volume", "ls", "-q").says("")
}

// TestNetworkVerbs takes networks through their life.
func TestNetworkVerbs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	id := strings.TrimSpace(h.docker("network", "create", "--subnet", "10.231.7.0/24", "--gateway", "10.231.7.9", "--label", "a=b", "backend").ok().stdout)
	h.docker("network", "create", "backend").fails(1, "network with name backend already exists")
	h.docker("network", "create", "--gateway", "10.9.9.9", "other").fails(1, "no matching subnet for gateway 10.9.9.9")
	h.docker("network", "create", "none").fails(1, "predefined none network")
	h.docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").says("backend bridge local\nbridge bridge local\nhost host local\nnone null local")
	h.docker("network", "ls", "-q", "--filter", "type=custom").says(id[:12])
	h.docker("run", "-d", "--name", "web", "--network", "backend", "--ip", "10.231.7.77", "--network-alias", "site", "busybox", "httpd", "-f", "-h", "/etc").ok()
	h.docker("network", "inspect", "-f", `{{.Name}} {{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}} {{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}`, id[:6]).
		says("backend 10.231.7.0/24 10.231.7.9 web 10.231.7.77/24")
	eventually(t, "the page of site", func() error {
		if out := h.docker("run", "--rm", "--network", "backend", "busybox", "wget", "-qO-", "http://site/group"); out.stdout != "root:x:0:\nguest:x:1000:\nstaff:x:50:guest\n" {
			return fmt.Errorf("%q %s", out.stdout, out.stderr)
		}
		return nil
	})
	h.docker("network", "rm", "backend").fails(1, "in use by web")
	h.docker("network", "rm", "bridge").fails(1, "pre-defined network and cannot be removed")
	h.docker("network", "rm", "nosuch").fails(1, "network nosuch not found")
	h.docker("network", "prune", "-f").says("")
	h.docker("rm", "-f", "web").ok()
	h.docker("network", "prune", "-f").says("Deleted Networks:\nbackend")
}

// TestSystemInfo says what the chapter's `docker info` says.
func TestSystemInfo(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("create", "busybox").ok()
	out := h.docker("info").ok().stdout
	if want := "Containers: 1\n Running: 0\n Paused: 0\n Stopped: 1\nImages: 1\nServer Version: "; !strings.HasPrefix(out, want) {
		t.Errorf("docker info begins with\n%s", out)
	}
	for _, want := range []string{"\nStorage Driver: overlay2\n", "\nKernel Version: ", "\nDocker Root Dir: " + h.root + "\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("docker info does not say %q:\n%s", want, out)
		}
	}
	h.compose("system", "info", "--format", "{{.Containers}} {{.Driver}}").says("1 overlay2")
	h.docker("version", "--format", "{{.Server.Os}}").says("linux")
}
