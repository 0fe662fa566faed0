package objectname

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"strings"
)

// NewID makes an ID of 64 hexadecimal digits, as Docker has them. The first
// twelve of a container's are the host name that it has by default: one without a
// letter in it the C library takes for an IPv4 address, and looks it up nowhere.
func NewID() string { return idFrom(rand.Reader) }

func idFrom(random io.Reader) string {
	for {
		var b [32]byte
		_, _ = io.ReadFull(random, b[:]) // never fails, crypto/rand
		id := hex.EncodeToString(b[:])
		if strings.ContainsAny(id[:12], "abcdef") {
			return id
		}
	}
}
