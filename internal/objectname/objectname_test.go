package objectname

import (
	"regexp"
	"testing"
)

// TestValid compares with the expression that Docker has.
func TestValid(t *testing.T) {
	want := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	names := []string{"", "shop_default", "a..b", "web-1.x", "-a", "a/b", "..", "é", "a\n", "a b"}
	for a := range 256 {
		names = append(names, string([]byte{byte(a)}))
		for b := range 256 {
			names = append(names, string([]byte{byte(a), byte(b)}))
		}
	}
	for _, name := range names {
		if Valid(name) != want.MatchString(name) {
			t.Errorf("%q: %t", name, Valid(name))
		}
	}
}
