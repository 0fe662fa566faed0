package digest

import (
	"crypto"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"regexp"
	"strings"
	"testing"
)

// The grammar once more, as the library has it.
var (
	pattern = regexp.MustCompile(`^([a-z0-9]+(?:[.+_-][a-z0-9]+)*):[a-zA-Z0-9=_-]+$`)
	sums    = map[string]*regexp.Regexp{"sha256": regexp.MustCompile(`^[a-f0-9]{64}$`), "sha384": regexp.MustCompile(`^[a-f0-9]{96}$`), "sha512": regexp.MustCompile(`^[a-f0-9]{128}$`)}
)

// FuzzValidate validates by hand and by the grammar.
func FuzzValidate(f *testing.F) {
	sum := strings.Repeat("0123456789abcdef", 8)
	for _, s := range []string{"", ":", "a", "a:", ":a", "a:b", "a:b:c", "a.b+c_d-e:F=_-0", "a..b:c", ".a:b", "a.:b", "A:b", "a:é", "é:a", "a:b\n", "sha256:" + sum[:64], "sha256:" + sum[:63], "sha256:" + sum[:63] + "g", "sha256:" + sum[:63] + "A", "sha384:" + sum[:96], "sha512:" + sum, "sha512:" + sum[:64]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want error
		m := pattern.FindStringSubmatch(s)
		algorithm, encoded, _ := strings.Cut(s, ":")
		switch known := sums[algorithm]; {
		case known == nil && m == nil, encoded == "":
			want = errFormat
		case known == nil:
			want = errUnsupported
		case len(encoded) != map[string]int{"sha256": crypto.SHA256.Size(), "sha384": crypto.SHA384.Size(), "sha512": crypto.SHA512.Size()}[algorithm]*2:
			want = errLength
		case !known.MatchString(encoded):
			want = errFormat
		}
		if got := Digest(s).Validate(); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	})
}
