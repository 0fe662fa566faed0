package engine

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"compose/engine/runtime"
	"compose/internal/daemonjson"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// UserNS says who a container's users and groups are on the host.
type UserNS struct {
	UIDs []specs.LinuxIDMapping `json:"uids"`
	GIDs []specs.LinuxIDMapping `json:"gids"`
}

// UsernsRemap is whose subordinate users containers get by the word of this
// host's administrator, "" for none, and the file that says so.
func (e *Engine) UsernsRemap() (who, path string, err error) {
	var host struct {
		Remap string `json:"userns-remap"`
	}
	path, err = daemonjson.Read(e.roots.State, &host)
	return host.Remap, path, err
}

// remap chooses the user namespace of a new container: what the host's
// administrator says under userns-remap, unless the container asks for the
// host's own, which is nil.
func (e *Engine) remap(s *ContainerSpec) (*UserNS, error) {
	who, path, err := e.UsernsRemap()
	if err != nil || who == "" || s.UsernsMode == "host" {
		return nil, err
	}
	for _, c := range []struct {
		what  string
		asked bool
	}{{"privileged", s.Privileged}, {"network_mode: host", s.NetworkMode == "host"}, {"pid: host", s.PIDMode == "host"}} {
		if c.asked {
			return nil, fmt.Errorf("%s needs the host's user namespace, and %s asks for another by userns-remap: set userns_mode: host", c.what, path)
		}
	}
	owner, group, ok := strings.Cut(who, ":")
	if who == "default" {
		owner = "dockremap" // whom dockerd makes for it
	}
	if !ok {
		group = owner
	}
	u := &UserNS{}
	if u.UIDs, err = subordinate(e.roots.State, "subuid", owner, uidAlias(owner)); err == nil {
		u.GIDs, err = subordinate(e.roots.State, "subgid", group, gidAlias(group))
	}
	if err != nil {
		return nil, fmt.Errorf("userns-remap in %s: %w", path, err)
	}
	return u, nil
}

// uidAlias is the number of a user's name, or the name of a number.
func uidAlias(name string) string {
	if u, err := user.LookupId(name); err == nil {
		return u.Username
	}
	if u, err := user.Lookup(name); err == nil {
		return u.Uid
	}
	return ""
}

func gidAlias(name string) string {
	if g, err := user.LookupGroupId(name); err == nil {
		return g.Name
	}
	if g, err := user.LookupGroup(name); err == nil {
		return g.Gid
	}
	return ""
}

// subordinate puts together the ranges of host IDs that somebody may use, by
// <state>/subuid or, where there is none, /etc/subuid.
func subordinate(state, file, name, alias string) ([]specs.LinuxIDMapping, error) {
	path := filepath.Join(state, file)
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		path = "/etc/" + file
		data, err = os.ReadFile(path)
	}
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var list []specs.LinuxIDMapping
	next := uint64(0)
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != name && (f[0] != alias || alias == "") {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		// The last number stands for nobody at all.
		if err1 != nil || err2 != nil || first == 0 || size == 0 || first+size > 1<<32-1 || next+size > 1<<32-1 {
			return nil, fmt.Errorf("%s: %q is no range of IDs that a container may have, write it as %s:100000:65536", path, strings.TrimSpace(line), name)
		}
		list = append(list, specs.LinuxIDMapping{ContainerID: uint32(next), HostID: uint32(first), Size: uint32(size)})
		next += size
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no IDs for %s: add a line such as %s:100000:65536", path, name, name)
	}
	return list, nil
}

// userNamespace is the namespace that a container starts in, nil for the
// host's: a new one, or that of the container whose network, processes or
// shared memory it shares, for these belong to it. One that has other users is
// left alone: the two share what they asked for, and the root of neither has a
// say over what is the other's.
func (e *Engine) userNamespace(c *Container) (*os.File, error) {
	if c.UserNS == nil {
		return nil, nil
	}
	for _, mode := range []string{c.Spec.NetworkMode, c.Spec.PIDMode, c.Spec.IPCMode} {
		id, ok := strings.CutPrefix(mode, "container:")
		if !ok {
			continue
		}
		peer, err := e.read(id)
		if err != nil || !peer.UserNS.equal(c.UserNS) {
			continue // where there is none, who joins its namespaces says so
		}
		s, err := e.State(id)
		if err != nil || s.PID == 0 {
			continue
		}
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", s.PID))
		if err == nil && Alive(s.PID, s.PIDStart) {
			return ns, nil
		}
		ns.Close() // which nil bears
	}
	return runtime.NewUserNS(c.UserNS.UIDs, c.UserNS.GIDs)
}

// equal says that both have the same users and groups.
func (u *UserNS) equal(v *UserNS) bool {
	if u == nil || v == nil {
		return u == v
	}
	return slices.Equal(u.UIDs, v.UIDs) && slices.Equal(u.GIDs, v.GIDs)
}

// apply asks the runtime for the namespace.
func (u *UserNS) apply(spec *specs.Spec) {
	if u == nil {
		return
	}
	spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	spec.Linux.UIDMappings, spec.Linux.GIDMappings = u.UIDs, u.GIDs
}

// mapped are the options of a mount whose files are the engine's own: what
// stands on the disk is the container's numbering.
func (u *UserNS) mapped(options ...string) []string {
	if u == nil {
		return options
	}
	return append(options, "idmap")
}

// outside is what one of the container's users and groups is on the host.
func (u *UserNS) outside(uid, gid int) (int, int) {
	if u == nil {
		return uid, gid
	}
	return translate(u.UIDs, uid, false), translate(u.GIDs, gid, false)
}

// inside is the reverse of it.
func (u *UserNS) inside(uid, gid int) (int, int) {
	if u == nil {
		return uid, gid
	}
	return translate(u.UIDs, uid, true), translate(u.GIDs, gid, true)
}

// nobody is whom the kernel shows in the place of a user that is not mapped.
const nobody = 65534

func translate(list []specs.LinuxIDMapping, id int, inward bool) int {
	for _, m := range list {
		from, to := int(m.ContainerID), int(m.HostID)
		if inward {
			from, to = to, from
		}
		if id >= from && id < from+int(m.Size) {
			return to + id - from
		}
	}
	return nobody
}
