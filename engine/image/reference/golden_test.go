package reference_test

import (
	_ "crypto/sha256"
	_ "crypto/sha512"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// record writes testdata/golden.txt anew, for the names that it has. To have it
// say what the library does, copy this file and testdata into the library's
// own directory (v0.6.0) and run the test there.
var record = flag.Bool("record", false, "write the golden file")

// TestGolden compares with what the library made of the same names: a line has
// a name and, for each function, what it returned.
func TestGolden(t *testing.T) {
	const file = "testdata/golden.txt"
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var recorded strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n") {
		quoted, _, _ := strings.Cut(line, "\t")
		name, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got := quoted + "\t" + strings.Join(outcome(name), "\t")
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

// outcome is what becomes of a name.
func outcome(name string) []string {
	parsed, err := reference.Parse(name)
	all := []string{result(parsed, err)}
	named, err := reference.ParseNormalizedNamed(name)
	all = append(all, result(named, err))
	meant, meantErr := reference.ParseDockerRef(name)
	all = append(all, result(meant, meantErr))
	if err != nil {
		return all
	}
	matches, err := reference.FamiliarMatch("*/app:*", named)
	pinned, pinErr := reference.WithDigest(named, digest.FromString("x"))
	return append(all, "domain "+reference.Domain(named), "path "+reference.Path(named),
		"name "+reference.FamiliarName(named), "familiar "+reference.FamiliarString(named),
		"matches "+fmt.Sprint(matches, err), result(reference.TagNameOnly(named), nil), result(pinned, pinErr))
}

// result is a reference, with the names of the interfaces that it has.
func result(ref reference.Reference, err error) string {
	if err != nil {
		return "error " + strconv.Quote(err.Error())
	}
	kinds := ref.String()
	if n, ok := ref.(reference.Named); ok {
		kinds += " named " + n.Name()
	}
	if t, ok := ref.(reference.Tagged); ok {
		kinds += " tagged " + t.Tag()
	}
	if d, ok := ref.(reference.Digested); ok {
		kinds += " digested " + d.Digest().String()
	}
	if _, ok := ref.(reference.Canonical); ok {
		kinds += " canonical"
	}
	return kinds
}

// TestMisuse has what no name leads to.
func TestMisuse(t *testing.T) {
	named, err := reference.ParseNormalizedNamed("app")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{"", "sha256", "sha256:", "sha256:abc", ":00000000000000000000000000000000"} {
		if got, err := reference.WithDigest(named, d); err == nil || err.Error() != "invalid digest format" {
			t.Errorf("with digest %q: %v, %v", d, got, err)
		}
	}
	if _, err := reference.FamiliarMatch("[", named); err == nil {
		t.Error("a pattern that is none matches something")
	}
}
