package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// account is who a process runs as.
type account struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// maxAccounts bounds /etc/passwd and /etc/group of an image, in bytes.
const maxAccounts = 8 << 20

// LookupUser is u by number, with the groups it is in, and its home directory,
// by the files of the container whose root is open. u and groups are as in Config.
func LookupUser(root *os.File, u specs.User, groups []string) (specs.User, string, error) {
	a, err := lookupAccount(int(root.Fd()), u, groups, false)
	u.Username, u.UID, u.GID, u.AdditionalGids = "", a.uid, a.gid, a.groups
	return u, a.home, err
}

// lookupAccount resolves u against the files of the container. Username is
// Docker's "user", "user:group", "uid" or "uid:gid"; where it is empty the
// numbers of u count. AdditionalGids are kept. byNumber is Config.ByNumber.
func lookupAccount(root int, u specs.User, addGroups []string, byNumber bool) (account, error) {
	a := account{uid: u.UID, gid: u.GID, groups: slices.Clone(u.AdditionalGids), home: "/"}
	if byNumber {
		// No user and no group is looked up: the home directory is all.
		passwd, err := accountFile(root, "etc/passwd")
		if err != nil {
			return a, err
		}
		number := strconv.FormatUint(uint64(u.UID), 10)
		if entry, found := findEntry(passwd, 7, func(f []string) bool { return f[2] == number }); found {
			a.home = entry[5]
		}
		return a, nil
	}
	name, group, hasGroup := strings.Cut(u.Username, ":")

	passwd, err := accountFile(root, "etc/passwd")
	if err != nil {
		return a, err
	}
	want := name
	if want == "" {
		want = strconv.FormatUint(uint64(u.UID), 10)
	}
	number, numeric := parseID(want)
	entry, found := findEntry(passwd, 7, func(f []string) bool { return f[0] == want })
	if !found && numeric {
		entry, found = findEntry(passwd, 7, func(f []string) bool { return f[2] == strconv.FormatUint(uint64(number), 10) })
	}
	login := ""
	switch {
	case found:
		uid, ok := parseID(entry[2])
		gid, ok2 := parseID(entry[3])
		if !ok || !ok2 {
			return a, fmt.Errorf("/etc/passwd of the image has a bad entry for %q", want)
		}
		login, a.uid, a.home = entry[0], uid, entry[5]
		if name != "" {
			a.gid = gid
		}
	case numeric:
		a.uid = number
		if name != "" {
			a.gid = 0
		}
	default:
		return a, fmt.Errorf("unable to find user %s: no matching entries in passwd file", name)
	}

	groups, err := accountFile(root, "etc/group")
	if err != nil {
		return a, err
	}
	if hasGroup && group != "" {
		gid, err := lookupGroup(groups, group)
		if err != nil {
			return a, err
		}
		a.gid = gid
	} else if login != "" {
		// Groups that list the user count only when no group was named.
		eachEntry(groups, 4, func(f []string) {
			if gid, ok := parseID(f[2]); ok && slices.Contains(strings.Split(f[3], ","), login) {
				a.groups = append(a.groups, gid)
			}
		})
	}
	for _, g := range addGroups {
		gid, err := lookupGroup(groups, g)
		if err != nil {
			return a, err
		}
		a.groups = append(a.groups, gid)
	}
	// The primary group is one of the supplementary ones, as in Docker: a file
	// that shuts a group out stays shut to a process that changes its own.
	a.groups = append(a.groups, a.gid)
	slices.Sort(a.groups)
	a.groups = slices.Compact(a.groups)
	return a, nil
}

func lookupGroup(groups []byte, want string) (uint32, error) {
	number, numeric := parseID(want)
	entry, found := findEntry(groups, 4, func(f []string) bool { return f[0] == want })
	if found {
		if gid, ok := parseID(entry[2]); ok {
			return gid, nil
		}
	}
	if numeric {
		return number, nil
	}
	return 0, fmt.Errorf("unable to find group %s: no matching entries in group file", want)
}

func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil
}

func accountFile(root int, name string) ([]byte, error) {
	data, err := readInRoot(root, name, maxAccounts)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read /%s of the image: %w", name, err)
	}
	return data, nil
}

func eachEntry(file []byte, fields int, do func([]string)) {
	for line := range bytes.Lines(file) {
		f := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(f) >= fields {
			do(f)
		}
	}
}

func findEntry(file []byte, fields int, match func([]string) bool) (entry []string, found bool) {
	eachEntry(file, fields, func(f []string) {
		if !found && match(f) {
			entry, found = f, true
		}
	})
	return entry, found
}
