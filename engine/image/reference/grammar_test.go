package reference

import (
	"regexp"
	"strings"
	"testing"
)

// The grammar of the documentation once more, as the library has it.
const (
	labelPattern     = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])`
	domainPattern    = `(?:` + labelPattern + `(?:\.` + labelPattern + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	componentPattern = `[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*`
	pathPattern      = componentPattern + `(?:/` + componentPattern + `)*`
	tagPattern       = `[\w][\w.-]{0,127}`
	digestPattern    = `[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*[:][[:xdigit:]]{32,}`
)

var pattern = regexp.MustCompile(`^(?:(` + domainPattern + `)/)?(` + pathPattern + `)(?::(` + tagPattern + `))?(?:@(` + digestPattern + `))?$`)

// FuzzSplit takes references apart by hand and by the grammar.
func FuzzSplit(f *testing.F) {
	const sum = "aabbccddeeff00112233445566778899AABB"
	for _, s := range []string{
		"", "a", "a/b", "a.b/c", "a:1/b:2", "a:1", "a:b/c", "[::1]/a", "[fe80::A]:5000/a/b", "[]/a", "[::1]:/a", "[::g]/a", "[::1]x/a", "[::1]", "[::1/a", "::1/a",
		"a-b.c-d/e", "-a/b", "a-/b", "a..b/c", ".a/b", "a./b", "a:/b", "a:1:2/b", "a:x/b", "A/b", "a/B", "A", "a_b/c", "a__b/c", "a___b", "a._b", "a-_b", "a-.b", "a---b", "a.b.c", "a/",
		"/a", "a//b", "a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 129), "a:.x", "a:-x", "a:_x", "a:x.y-z", "a:", "a:b:c", "a@" + sum, "a@x:" + sum, "a:b@x:" + sum, "a@x1+y2:" + sum,
		"a@x+1:" + sum, "a@x..y:" + sum, "a@x.:" + sum, "a@1:" + sum, "a@:" + sum, "a@x:" + sum[:31], "a@x:" + sum[:32], "a@x:" + sum[:31] + "g", "a@x:" + sum + "@y:" + sum, "@x:" + sum, "a\n", "a\x00b", "é/a", "\xff/a", "a/\u212a",
		"a/b:1/c", "a:1/b:c/d", "a:b@x:" + sum + "/c", "localhost/a", "localhost:1/a.b/c_d/e__f/g--h",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, tag, digest, ok := split(s)
		m := pattern.FindStringSubmatch(s)
		if ok != (m != nil) {
			t.Fatalf("%q: it is %v that it is a reference", s, ok)
		}
		if ok && (r.domain != m[1] || r.path != m[2] || tag != m[3] || digest != m[4]) {
			t.Errorf("%q: %q %q %q, want %q", s, r, tag, digest, m[1:])
		}
	})
}
