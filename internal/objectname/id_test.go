package objectname

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestIDIsNoNumber draws an ID whose first twelve digits have no letter: as a
// host name it would be an IPv4 address to the C library.
func TestIDIsNoNumber(t *testing.T) {
	number := bytes.Repeat([]byte{0x12}, 32)
	name := append([]byte{0x66, 0x03, 0x41, 0x77, 0x29, 0x7a}, number[6:]...)
	want := hex.EncodeToString(name)
	if id := idFrom(bytes.NewReader(append(number, name...))); id != want {
		t.Errorf("the ID is %s, want %s", id, want)
	}
}
