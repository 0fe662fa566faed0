package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lab is a pretended host, a network namespace of its own, and a neighbour of
// it on a link between the two. Firewalls can be set there without harm.
type lab struct {
	t                   *testing.T
	host, neighbour     string // network namespaces
	hostIP, neighbourIP string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	id := filepath.Base(t.TempDir())
	l := &lab{t: t, host: "ce-h" + tagOf(t, id), neighbour: "ce-n" + tagOf(t, id), hostIP: "198.18.200.1", neighbourIP: "198.18.200.2"}
	for _, ns := range []string{l.host, l.neighbour} {
		l.must("ip", "netns", "add", ns)
		t.Cleanup(func() { l.must("ip", "netns", "delete", ns) })
		l.must("ip", "-n", ns, "link", "set", "lo", "up")
	}
	l.must("ip", "-n", l.host, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", l.neighbour)
	for ns, address := range map[string]string{l.host: l.hostIP, l.neighbour: l.neighbourIP} {
		l.must("ip", "-n", ns, "addr", "add", address+"/24", "dev", "up0")
		l.must("ip", "-n", ns, "link", "set", "up0", "up")
	}
	l.must("ip", "-n", l.host, "route", "add", "default", "via", l.neighbourIP)
	return l
}

func tagOf(t *testing.T, salt string) string {
	sum := 0
	for _, c := range t.Name() + salt + t.TempDir() {
		sum = (sum*31 + int(c)) & 0xffffff
	}
	return fmt.Sprintf("%06x", sum)
}

func (l *lab) must(argv ...string) string {
	l.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func (l *lab) inside(ns string, argv ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + ns}, argv...)...)
}

// dockerRules are the rules that dockerd leaves on a host, as far as they
// decide on forwarded packets.
var dockerRules = [][]string{
	{"-P", "FORWARD", "DROP"},
	{"-N", "DOCKER-USER"},
	{"-N", "DOCKER-FORWARD"},
	{"-N", "DOCKER-ISOLATION-STAGE-1"},
	{"-N", "DOCKER-ISOLATION-STAGE-2"},
	{"-A", "FORWARD", "-j", "DOCKER-USER"},
	{"-A", "FORWARD", "-j", "DOCKER-FORWARD"},
	{"-A", "DOCKER-FORWARD", "-j", "DOCKER-ISOLATION-STAGE-1"},
	{"-A", "DOCKER-FORWARD", "-i", "docker0", "-j", "ACCEPT"},
	{"-A", "DOCKER-ISOLATION-STAGE-1", "-i", "docker0", "!", "-o", "docker0", "-j", "DOCKER-ISOLATION-STAGE-2"},
	{"-A", "DOCKER-ISOLATION-STAGE-2", "-o", "docker0", "-j", "DROP"},
}

// TestForwardPolicyDrop runs a stack on hosts whose firewall drops forwarded
// packets, with and without Docker's own rules, and looks from all sides.
func TestForwardPolicyDrop(t *testing.T) {
	for name, rules := range map[string][][]string{
		"policy drop":        {{"-P", "FORWARD", "DROP"}},
		"beside Docker":      dockerRules,
		"legacy policy drop": {{"legacy", "-P", "FORWARD", "DROP"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for _, rule := range rules {
				tool := "iptables-nft"
				if rule[0] == "legacy" {
					tool, rule = "iptables-legacy", rule[1:]
				}
				if out, err := l.inside(l.host, append([]string{tool}, rule...)...).CombinedOutput(); err != nil {
					t.Fatalf("%s %v: %v\n%s", tool, rule, err, out)
				}
			}
			before := l.rules()

			h := newHost(t)
			h.netns = l.host
			h.busybox("busybox")
			dir := h.project("fw", "compose.yaml", fmt.Sprintf(web, "through")+"\n", "override.yaml", "services:\n  web:\n    ports: ['8080:80']\n")
			with := func(args ...string) result {
				return h.in(dir, append([]string{"-f", "compose.yaml", "-f", "override.yaml"}, args...)...)
			}
			with("up", "-d").ok()
			if got := fetchInside(h, dir, "http://web/"); got != "through" {
				t.Errorf("from container to container: %q", got)
			}
			if got := l.fetch(l.neighbour, "http://"+l.hostIP+":8080/"); got != "through" {
				t.Errorf("from the neighbour to the published port: %q", got)
			}
			if got := l.fetch(l.host, "http://127.0.0.1:8080/"); got != "through" {
				t.Errorf("from the host's loopback to the published port: %q", got)
			}
			if out := with("exec", "-T", "client", "ping", "-c", "1", "-W", "20", l.neighbourIP); out.code != 0 {
				t.Errorf("from a container to the neighbour: %s%s", out.stdout, out.stderr)
			}
			with("down").ok()
			if after := l.rules(); after != before {
				t.Errorf("the host's rules were\n%s\nand now are\n%s", before, after)
			}
		})
	}
}

// rules lists the host's own rules, without counters.
func (l *lab) rules() string {
	l.t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{{"nft", "--stateless", "list", "ruleset"}, {"iptables-legacy", "-S"}} {
		out, err := l.inside(l.host, argv...).CombinedOutput()
		if err != nil {
			l.t.Fatalf("%v: %v\n%s", argv, err, out)
		}
		all.Write(out)
	}
	return all.String()
}

func (l *lab) fetch(ns, url string) string {
	l.t.Helper()
	var body string
	eventually(l.t, url+" from "+ns, func() error {
		out, err := l.inside(ns, "curl", "--silent", "--show-error", "--fail", "--max-time", "5", url).CombinedOutput()
		body = strings.TrimSpace(string(out))
		if err != nil {
			return fmt.Errorf("%w: %s", err, body)
		}
		return nil
	})
	return body
}
