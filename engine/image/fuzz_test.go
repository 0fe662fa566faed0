package image

import "testing"

// FuzzReference reads names of images. Whatever is taken has parts that make
// sense, and both of its spellings mean the same image again.
func FuzzReference(f *testing.F) {
	const sum = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, s := range []string{
		"busybox", "busybox:1.36", "library/busybox", "docker.io/library/busybox", "index.docker.io/busybox",
		"localhost/a", "localhost:5000/a/b:c", "[::1]:5000/a", "registry.example/team/app:v1" + sum, "app" + sum,
		"docker.io/localhost/a", "docker.io/a.b/c", "docker.io/library/a/b", "docker.io/UPPER/x", "Registry/x",
		"", ":", "@", "a:", "a@sha256:00", "../a", "a//b", "a b", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			return
		}
		if r.Host() == "" || r.Path() == "" || r.Repository() == "" || r.target() == "" {
			t.Fatalf("%q has the host %q, the path %q, the repository %q, the target %q", s, r.Host(), r.Path(), r.Repository(), r.target())
		}
		for _, spelling := range []string{r.String(), r.Familiar()} {
			again, err := ParseReference(spelling)
			if err != nil {
				t.Fatalf("%q is spelled %q, which is not understood: %v", s, spelling, err)
			}
			if again.String() != r.String() {
				t.Fatalf("%q is spelled %q, which means %q and not %q", s, spelling, again, r)
			}
		}
		repository, err := ParseReference(r.Repository())
		if err != nil || repository.Host() != r.Host() || repository.Path() != r.Path() {
			t.Fatalf("%q has the repository %q, which means %v, %v", s, r.Repository(), repository, err)
		}
	})
}
