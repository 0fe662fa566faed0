package registry

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzDaemonConfig reads daemon.json files. One that is taken answers every
// question, and what it lists as mirrors can be asked.
func FuzzDaemonConfig(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `[]`, `{"registry-mirrors": ["https://mirror.example", "http://10.0.0.1:5000/"]}`,
		`{"registry-mirrors": ["mirror.example"]}`, `{"registry-mirrors": [""]}`, `{"registry-mirrors": "https://m"}`,
		`{"insecure-registries": ["10.0.0.0/8", "host:5000", "::/0", "[::1]:80", ""]}`, `{"log-driver": "json-file"`,
	} {
		f.Add([]byte(text), "registry.example:5000")
	}
	f.Add([]byte(`{}`), "[::1")
	f.Fuzz(func(t *testing.T, text []byte, host string) {
		state := t.TempDir()
		if err := os.WriteFile(filepath.Join(state, "daemon.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := LoadConfig(state)
		if err != nil {
			return
		}
		c.isPlain(host)
		if hosts := c.Hosts(host); len(hosts) == 0 || hosts[len(hosts)-1] != host {
			t.Fatalf("for %q the hosts %q are asked", host, hosts)
		}
		hosts := c.Hosts("index.docker.io")
		if len(hosts) != len(c.Mirrors)+1 {
			t.Fatalf("of the mirrors %q, %q are asked", c.Mirrors, hosts)
		}
		for _, h := range hosts {
			if h == "" {
				t.Fatalf("of the mirrors %q, %q are asked", c.Mirrors, hosts)
			}
		}
	})
}
