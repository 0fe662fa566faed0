package engine

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"compose/netbridge"
)

// hostGateway is the word for the host's own address in extra_hosts.
const hostGateway = "host-gateway"

// splitHost takes "name:address" or "name=address" apart.
func splitHost(entry string) (name, address string, ok bool) {
	if name, address, ok = strings.Cut(entry, "="); !ok {
		name, address, ok = strings.Cut(entry, ":")
	}
	return name, strings.Trim(address, "[]"), ok
}

// writeNameFiles makes /etc/hosts, /etc/hostname and /etc/resolv.conf of a
// container in dir, anew at each start because addresses change.
func writeNameFiles(dir string, c *Container, endpoints []netbridge.Endpoint) error {
	host := c.Spec.NetworkMode == "host"
	hosts, err := hostsFile(c, endpoints, host)
	if err != nil {
		return err
	}
	files := map[string]string{
		"hosts":       hosts,
		"hostname":    hostname(c) + "\n",
		"resolv.conf": resolvConf(c, len(endpoints) > 0),
	}
	for name, text := range files {
		// In place: a bind mount of an earlier start holds on to the file.
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(text), 0o644)
		if err == nil {
			err = os.Chmod(path, 0o644) // whatever our umask
		}
		if err != nil {
			return fmt.Errorf("write the container's %s: %w", name, err)
		}
	}
	return nil
}

func hostsFile(c *Container, endpoints []netbridge.Endpoint, host bool) (string, error) {
	var b strings.Builder
	if own, err := os.ReadFile("/etc/hosts"); host && err == nil {
		b.Write(own)
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	}
	for _, entry := range c.Spec.ExtraHosts {
		name, address, ok := splitHost(entry)
		if !ok {
			return "", fmt.Errorf("extra host %q: write it as name=address", entry)
		}
		if address == hostGateway {
			address = "127.0.0.1"
			if i := slices.IndexFunc(endpoints, func(e netbridge.Endpoint) bool { return e.Host.IsValid() }); i >= 0 {
				address = endpoints[i].Host.String()
			}
		}
		fmt.Fprintf(&b, "%s\t%s\n", address, name)
	}
	for _, line := range ownLines(c, endpoints) {
		b.WriteString(line)
	}
	return b.String(), nil
}

// ownLines are those of /etc/hosts that say the container's own addresses.
func ownLines(c *Container, endpoints []netbridge.Endpoint) (lines []string) {
	names := hostname(c)
	if c.Spec.Domainname != "" {
		names = names + "." + c.Spec.Domainname + " " + names
	}
	for _, ep := range endpoints {
		for _, a := range []netip.Addr{ep.IPv4, ep.IPv6} {
			if a.IsValid() {
				lines = append(lines, fmt.Sprintf("%s\t%s\n", a, names))
			}
		}
	}
	return lines
}

// changeHosts puts the addresses of a running container's new endpoints into
// its /etc/hosts and takes out those of the ones that are gone. The other lines
// stay: they may be the container's own work. Its first endpoint also gives it
// a resolver.
func (e *Engine) changeHosts(c *Container, before, after []netbridge.Endpoint) error {
	dir := e.dir(c.ID)
	path := filepath.Join(dir, "hosts")
	// The container can write to it; one that makes it huge keeps it so.
	const reasonable = 1 << 20
	if info, err := os.Stat(path); err == nil && info.Size() > reasonable {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("change the container's hosts: %w", err)
	}
	now := ownLines(c, after)
	gone := slices.DeleteFunc(ownLines(c, before), func(line string) bool { return slices.Contains(now, line) })
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		if i := slices.Index(now, line); i >= 0 {
			now = slices.Delete(now, i, i+1)
		}
		if !slices.Contains(gone, line) {
			b.WriteString(line)
		}
	}
	if text := b.String(); len(now) > 0 && text != "" && !strings.HasSuffix(text, "\n") {
		b.WriteByte('\n')
	}
	for _, line := range now {
		b.WriteString(line)
	}
	files := map[string]string{"hosts": b.String()}
	if len(after) == 1 && len(before) == 0 {
		files["resolv.conf"] = resolvConf(c, true)
	}
	for name, text := range files {
		// In place, as in writeNameFiles.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("change the container's %s: %w", name, err)
		}
	}
	return nil
}

func resolvConf(c *Container, ownResolver bool) string {
	var servers, search, options []string
	own, _ := os.ReadFile("/etc/resolv.conf")
	for line := range strings.Lines(string(own)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			servers = append(servers, f[1])
		case "search":
			search = f[1:]
		case "options":
			options = append(options, f[1:]...)
		}
	}
	if len(c.Spec.DNS) > 0 {
		servers = c.Spec.DNS
	}
	if len(c.Spec.DNSSearch) > 0 {
		search = c.Spec.DNSSearch
	}
	if len(c.Spec.DNSOptions) > 0 {
		options = c.Spec.DNSOptions
	}
	if ownResolver {
		servers = []string{"127.0.0.11"}
		if !strings.Contains(strings.Join(options, " "), "ndots:") {
			options = append(options, "ndots:0")
		}
	}
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(search) > 0 && (len(search) > 1 || search[0] != ".") {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.String()
}

// upstream are the servers that the container's resolver asks; none: the host's.
func upstream(dns []string) ([]netip.AddrPort, error) {
	var list []netip.AddrPort
	for _, s := range dns {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("dns %q is no IP address", s)
		}
		list = append(list, netip.AddrPortFrom(a, 53))
	}
	return list, nil
}
