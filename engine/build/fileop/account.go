package fileop

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"compose/internal/lateinit"
)

// maxAccounts bounds what is read of an image's /etc/passwd, in bytes.
const maxAccounts = 10 << 20

// LookupOwner resolves the argument of --chown against the user files of the
// tree below root. A name that they lack stands for root, as in BuildKit; nil
// stays nil.
func LookupOwner(root int, o *pb.ChownOpt) (*Owner, error) {
	lateinit.Run(lateinit.Builds)
	if o == nil {
		return nil, nil
	}
	out := &Owner{}
	switch u := o.GetUser().GetUser().(type) {
	case *pb.UserOpt_ByID:
		out.UID, out.GID = int(u.ByID), int(u.ByID)
	case *pb.UserOpt_ByName:
		fields, err := accountEntry(root, "/etc/passwd", u.ByName.GetName(), 4)
		if err != nil {
			return nil, err
		}
		if fields != nil {
			out.UID, _ = strconv.Atoi(fields[2])
			out.GID, _ = strconv.Atoi(fields[3])
		}
	}
	switch g := o.GetGroup().GetUser().(type) {
	case *pb.UserOpt_ByID:
		out.GID = int(g.ByID)
	case *pb.UserOpt_ByName:
		fields, err := accountEntry(root, "/etc/group", g.ByName.GetName(), 3)
		if err != nil {
			return nil, err
		}
		if fields != nil {
			out.GID, _ = strconv.Atoi(fields[2])
		}
	}
	return out, nil
}

// accountEntry finds the line of a user file that begins with name; nil where
// there is none.
func accountEntry(root int, file, name string, fields int) ([]string, error) {
	fd, err := openIn(root, file, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if isMissing(err) {
			return nil, nil
		}
		return nil, pathError("open", file, err)
	}
	f := os.NewFile(uintptr(fd), file)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	lines := bufio.NewScanner(io.LimitReader(f, maxAccounts))
	for lines.Scan() {
		parts := strings.Split(lines.Text(), ":")
		if len(parts) >= fields && parts[0] == name {
			return parts, nil
		}
	}
	return nil, lines.Err()
}
