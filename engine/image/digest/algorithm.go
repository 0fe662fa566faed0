package digest

import (
	"crypto"
	"fmt"
	"hash"
	"io"
)

// Algorithm is the name of a hash.
type Algorithm string

// The algorithms that can be computed, if the program links the hash.
const (
	SHA256 Algorithm = "sha256"
	SHA384 Algorithm = "sha384"
	SHA512 Algorithm = "sha512"

	// Canonical is the one that is used where nobody says which.
	Canonical = SHA256
)

// hash is the implementation, or 0.
func (a Algorithm) hash() crypto.Hash {
	switch a {
	case SHA256:
		return crypto.SHA256
	case SHA384:
		return crypto.SHA384
	case SHA512:
		return crypto.SHA512
	}
	return 0
}

// Available says whether the algorithm can be computed.
func (a Algorithm) Available() bool { return a.hash().Available() }

func (a Algorithm) String() string { return string(a) }

// Size is that of the sum in bytes, or 0 for an algorithm that is not known.
func (a Algorithm) Size() int {
	if a.hash() == 0 {
		return 0
	}
	return a.hash().Size()
}

// Hash returns a new hash. It panics if the algorithm is not available.
func (a Algorithm) Hash() hash.Hash {
	if !a.Available() {
		panic(fmt.Sprintf("digest algorithm %q is not available", string(a)))
	}
	return a.hash().New()
}

// Digester returns what names that which is written to its hash.
func (a Algorithm) Digester() Digester { return &digester{a, a.Hash()} }

// FromReader names what a reader gives.
func (a Algorithm) FromReader(r io.Reader) (Digest, error) {
	h := a.Hash()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return NewDigest(a, h), nil
}

// FromBytes names bytes.
func (a Algorithm) FromBytes(b []byte) Digest {
	h := a.Hash()
	h.Write(b) // a hash's Write never fails
	return NewDigest(a, h)
}

// FromString names the bytes of a string.
func (a Algorithm) FromString(s string) Digest { return a.FromBytes([]byte(s)) }

// Digester computes a digest.
type Digester interface {
	Hash() hash.Hash
	Digest() Digest // of what the hash has been given so far
}

type digester struct {
	algorithm Algorithm
	hash      hash.Hash
}

func (d *digester) Hash() hash.Hash { return d.hash }
func (d *digester) Digest() Digest  { return NewDigest(d.algorithm, d.hash) }
