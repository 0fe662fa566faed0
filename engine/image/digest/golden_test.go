package digest_test

import (
	"bytes"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// record writes testdata/golden.txt anew, for the names that it has. To have it
// say what the library does, copy this file and testdata into the library's
// own directory (v1.0.0) and run the test there.
var record = flag.Bool("record", false, "write the golden file")

// TestGolden compares with what the library made of the same strings: a line
// has one and what came of it.
func TestGolden(t *testing.T) {
	const file = "testdata/golden.txt"
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var recorded strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n") {
		quoted, _, _ := strings.Cut(line, "\t")
		s, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got := quoted + "\t" + outcome(s)
		if got != line && !*record {
			t.Errorf("got  %s\nwant %s", got, line)
		}
		recorded.WriteString(got + "\n")
	}
	if *record {
		if err := os.WriteFile(file, []byte(recorded.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome is what becomes of a string, as a digest and as a content.
func outcome(s string) string {
	d, err := digest.Parse(s)
	if err != nil {
		return fmt.Sprintf("%q error %v", d, err)
	}
	v := d.Verifier()
	fmt.Fprint(v, "x")
	a := d.Algorithm()
	read, err := a.FromReader(strings.NewReader(s))
	digester := a.Digester()
	fmt.Fprint(digester.Hash(), s)
	return fmt.Sprint(d.String(), a, a.Size(), d.Encoded(), d.Hex(), v.Verified(), a.Available(), read, err, digester.Digest(),
		a.FromString(s), digest.NewDigestFromEncoded(a, "y"), digest.NewDigestFromBytes(a, []byte{1, 0xab}))
}

// TestFrom has the ways to name a content agree.
func TestFrom(t *testing.T) {
	const want = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	read, err := digest.FromReader(strings.NewReader("x"))
	h := digest.Canonical.Hash()
	fmt.Fprint(h, "x")
	for _, d := range []digest.Digest{read, digest.FromBytes([]byte("x")), digest.FromString("x"), digest.NewDigest(digest.SHA256, h)} {
		if d != want || err != nil {
			t.Errorf("%v, %v", d, err)
		}
	}
	v := digest.Digest(want).Verifier()
	if n, err := v.Write([]byte("x")); n != 1 || err != nil || !v.Verified() {
		t.Errorf("%d, %v, and it is %v that the content is right", n, err, v.Verified())
	}
	if fmt.Fprint(v, "y"); v.Verified() {
		t.Error("another content is right, too")
	}
	if _, err := digest.FromReader(bytes.NewReader(nil)); err != nil {
		t.Error(err)
	}
}

// TestPanic has what may not be asked of a string that was not validated.
func TestPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"algorithm":            func() { digest.Digest("x").Algorithm() },
		"encoded":              func() { digest.Digest("").Encoded() },
		"verifier":             func() { digest.Digest("md5:x").Verifier() },
		"hash":                 func() { digest.Algorithm("md5").Hash() },
		"hash without a name":  func() { digest.Algorithm("").Hash() },
		"digester":             func() { digest.Algorithm("SHA256").Digester() },
		"content of another's": func() { digest.Algorithm("x").FromString("x") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it does not panic", name)
				}
			}()
			f()
		}()
	}
	if size := digest.Algorithm("md5").Size(); size != 0 {
		t.Errorf("a sum of md5 has %d bytes", size)
	}
}
