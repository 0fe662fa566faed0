package registry

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"compose/internal/daemonjson"
	"compose/internal/lateinit"
)

// Config is what this host's administrator says about registries, in the
// format of Docker's daemon.json; other keys of that file mean nothing here.
type Config struct {
	// Mirrors are URLs asked before the default registry.
	Mirrors []string `json:"registry-mirrors"`
	// Insecure are hosts (with a port, if not the usual one) or networks whose
	// certificates are not verified and that may be spoken to over plain HTTP.
	Insecure []string `json:"insecure-registries"`

	// CertDirs hold a directory for each host with certificates of its own.
	CertDirs []string `json:"-"`
	// Path is the file that the rest is from, for messages.
	Path string `json:"-"`
}

// LoadConfig reads <state>/daemon.json or, where there is none, Docker's own
// /etc/docker/daemon.json. Neither has to exist.
func LoadConfig(state string) (*Config, error) {
	c := &Config{CertDirs: []string{filepath.Join(state, "certs.d"), "/etc/docker/certs.d"}}
	var err error
	if c.Path, err = daemonjson.Read(state, c); err != nil {
		return nil, err
	}
	for _, m := range c.Mirrors {
		if u, err := url.Parse(m); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("configuration file %s: registry-mirrors: %q is not a URL such as https://mirror.example", c.Path, m)
		}
	}
	return c, nil
}

// Hosts are the hosts to ask for an image of a registry, the first first: the
// mirrors are for the default registry only.
func (c *Config) Hosts(host string) []string {
	lateinit.Run(lateinit.Registries)
	if reg, err := name.NewRegistry(host); err != nil || reg.RegistryStr() != name.DefaultRegistry {
		return []string{host}
	}
	var hosts []string
	for _, m := range c.Mirrors {
		if u, err := url.Parse(m); err == nil {
			hosts = append(hosts, u.Host)
		}
	}
	return append(hosts, host)
}

// isPlain says whether a host may be spoken to over plain HTTP, and without
// its certificate being verified.
func (c *Config) isPlain(host string) bool {
	bare := withoutPort(host)
	ip := net.ParseIP(bare)
	if bare == "localhost" || ip != nil && ip.IsLoopback() {
		return true
	}
	for _, m := range c.Mirrors {
		if u, err := url.Parse(m); err == nil && u.Scheme == "http" && u.Host == host {
			return true
		}
	}
	return c.isInsecure(host)
}

func (c *Config) isInsecure(host string) bool {
	bare := withoutPort(host)
	ip := net.ParseIP(bare)
	for _, i := range c.Insecure {
		if _, block, err := net.ParseCIDR(i); err == nil {
			if ip != nil && block.Contains(ip) {
				return true
			}
			continue
		}
		if i == host || i == bare {
			return true
		}
	}
	return false
}

func withoutPort(host string) string {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		return bare
	}
	return strings.Trim(host, "[]")
}
