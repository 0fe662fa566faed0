package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// download is what is kept of a file from the web, beside the file.
type download struct {
	Digest       digest.Digest `json:"digest"`
	ETag         string        `json:"etag,omitempty"`
	LastModified string        `json:"last_modified,omitempty"`
}

// httpSource fetches a file (ADD with an address), or asks the server whether
// the one from last time is still good.
func (s *session) httpSource(ctx context.Context, v *vertex, op *pb.SourceOp) (*snapshot, bool, error) {
	at := filepath.Join(s.roots.Build(), "http", string(makeKey(op.Identifier)))
	var old download
	if data, err := os.ReadFile(at + ".json"); err == nil {
		_ = json.Unmarshal(data, &old)
	}
	if _, err := os.Stat(at); err != nil {
		old = download{}
	}
	want := digest.Digest(op.Attrs[pb.AttrHTTPChecksum])
	hit := want != "" && old.Digest == want
	now := old
	if !hit {
		var err error
		if now, hit, err = s.fetch(ctx, v, op.Identifier, at, old); err != nil {
			return nil, false, err
		}
	}
	if want != "" && now.Digest != want {
		return nil, false, fmt.Errorf("digest mismatch for %s: %s (expected: %s)", op.Identifier, now.Digest, want)
	}
	snap, err := s.fileSnapshot(op, at, now)
	return snap, hit, err
}

func (s *session) fetch(ctx context.Context, v *vertex, url, at string, old download) (download, bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return download{}, false, err
	}
	if old.ETag != "" {
		req.Header.Set("If-None-Match", old.ETag)
	} else if old.LastModified != "" {
		req.Header.Set("If-Modified-Since", old.LastModified)
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return download{}, false, err
	}
	defer reply.Body.Close()
	if reply.StatusCode == http.StatusNotModified && old.Digest != "" {
		return old, true, nil
	}
	if reply.StatusCode < 200 || reply.StatusCode > 299 {
		return download{}, false, fmt.Errorf("invalid response status %d for %s", reply.StatusCode, url)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return download{}, false, err
	}
	tmp, err := os.Create(filepath.Join(s.top, "http-"+randomID()))
	if err != nil {
		return download{}, false, err
	}
	defer tmp.Close()
	sum := digest.SHA256.Digester()
	progress := &meter{t: v.task, id: filepath.Base(req.URL.Path), total: reply.ContentLength}
	if _, err := io.Copy(io.MultiWriter(tmp, sum.Hash(), progress), reply.Body); err != nil {
		return download{}, false, fmt.Errorf("download %s: %w", url, err)
	}
	now := download{Digest: sum.Digest(), ETag: reply.Header.Get("ETag"), LastModified: reply.Header.Get("Last-Modified")}
	data, err := json.Marshal(now)
	if err != nil {
		return download{}, false, err
	}
	// The note goes first and comes last: it never describes another file.
	os.Remove(at + ".json")
	if err := os.Rename(tmp.Name(), at); err != nil {
		return download{}, false, err
	}
	return now, now.Digest == old.Digest, os.WriteFile(at+".json", data, 0o600)
}

// fileSnapshot is a directory that holds the file under the name, mode, owner
// and time that it shall have.
func (s *session) fileSnapshot(op *pb.SourceOp, at string, d download) (*snapshot, error) {
	name := op.Attrs[pb.AttrHTTPFilename]
	if name == "" || name != filepath.Base(name) {
		name = "download"
	}
	dir := filepath.Join(s.top, "http-"+randomID())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	if err := copyFile(at, path); err != nil {
		return nil, err
	}
	number := func(attr string, base int, otherwise int64) int64 {
		if n, err := strconv.ParseInt(op.Attrs[attr], base, 32); err == nil {
			return n
		}
		return otherwise
	}
	mode, uid, gid := number(pb.AttrHTTPPerm, 0, 0o600), number(pb.AttrHTTPUID, 10, 0), number(pb.AttrHTTPGID, 10, 0)
	if err := os.Chown(path, int(uid), int(gid)); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, os.FileMode(mode)&0o777); err != nil {
		return nil, err
	}
	when := time.Unix(0, 0)
	if t, err := http.ParseTime(d.LastModified); err == nil {
		when = t
	}
	id := fmt.Sprintf("http %s %s %o %d %d", d.Digest, name, mode, uid, gid)
	return &snapshot{dir: dir, id: id}, os.Chtimes(path, when, when)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}

// meter tells of a download's progress, a few times a second.
type meter struct {
	t     *task
	id    string
	done  int64
	total int64
	last  time.Time
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if now := time.Now(); now.Sub(m.last) > 200*time.Millisecond {
		m.last = now
		m.t.status(Status{ID: strings.TrimSpace(m.id), Text: "downloading", Current: m.done, Total: max(m.total, 0)})
	}
	return len(p), nil
}
