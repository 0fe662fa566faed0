// Package index remembers the digests of files by what stat(2) says of them,
// so that a file that has not changed is not read again to know its content.
package index

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine/build/fileop"
)

// Index is the digests of the files below one directory.
type Index struct {
	path string

	mu    sync.Mutex
	known map[id]entry
	used  map[id]bool
	dirty bool
}

type id struct{ dev, ino uint64 }

// entry is what was true of a file when it was read.
type entry struct {
	size, mtime, ctime int64 // bytes, nanoseconds
	sum                fileop.Sum
}

// magic begins the file and names its format.
const magic = "compose index 1\n"

const recordSize = 5*8 + sha256.Size

// Open reads the index of dir that is kept in the directory store. A missing
// or damaged one is empty.
func Open(store, dir string) *Index {
	name := sha256.Sum256([]byte(dir))
	x := &Index{path: filepath.Join(store, hex.EncodeToString(name[:12])), known: map[id]entry{}, used: map[id]bool{}}
	data, err := os.ReadFile(x.path)
	if err != nil || len(data) < len(magic)+sha256.Size || string(data[:len(magic)]) != magic {
		return x
	}
	sum, data := data[len(magic):len(magic)+sha256.Size], data[len(magic)+sha256.Size:]
	if sha256.Sum256(data) != fileop.Sum(sum) || len(data)%recordSize != 0 {
		return x
	}
	word := func(n int) uint64 { return binary.LittleEndian.Uint64(data[8*n:]) }
	x.known = make(map[id]entry, len(data)/recordSize)
	for ; len(data) > 0; data = data[recordSize:] {
		x.known[id{word(0), word(1)}] = entry{int64(word(2)), int64(word(3)), int64(word(4)), fileop.Sum(data[40:recordSize])}
	}
	return x
}

// settled is how old a file's last change has to be for its times to tell the
// next change: the kernel's clock for them ticks at most this seldom.
const settled = 100 * time.Millisecond

// Sum implements fileop.Summer.
func (x *Index) Sum(dir int, name string, st *unix.Stat_t) (fileop.Sum, error) {
	key := id{st.Dev, st.Ino}
	now := entry{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
	x.mu.Lock()
	e, ok := x.known[key]
	x.used[key] = true
	x.mu.Unlock()
	if ok && e.size == now.size && e.mtime == now.mtime && e.ctime == now.ctime {
		return e.sum, nil
	}
	began := time.Now()
	sum, err := fileop.Read{}.Sum(dir, name, st)
	if err != nil {
		return sum, err
	}
	if began.Sub(time.Unix(0, now.ctime)) > settled {
		now.sum = sum
		x.mu.Lock()
		x.known[key], x.dirty = now, true
		x.mu.Unlock()
	}
	return sum, nil
}

// Save writes the index if it has changed. It need not survive a power loss:
// its checksum tells.
func (x *Index) Save() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.dirty {
		return nil
	}
	// Files that are gone pile up; forget what this build has not seen once
	// there is more of it than of the rest.
	forget := len(x.known) > 2*len(x.used)+1024
	data := make([]byte, 0, len(x.known)*recordSize)
	for k, e := range x.known {
		if forget && !x.used[k] {
			continue
		}
		for _, v := range []uint64{k.dev, k.ino, uint64(e.size), uint64(e.mtime), uint64(e.ctime)} {
			data = binary.LittleEndian.AppendUint64(data, v)
		}
		data = append(data, e.sum[:]...)
	}
	sum := sha256.Sum256(data)
	if err := os.MkdirAll(filepath.Dir(x.path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(x.path), ".new-")
	if err != nil {
		return err
	}
	for _, part := range [][]byte{[]byte(magic), sum[:], data} {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), x.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	x.dirty = false
	return nil
}
