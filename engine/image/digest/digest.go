package digest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Digest is the name of a content. It is to be validated before use, where it
// comes from elsewhere.
type Digest string

// What is wrong with a digest.
var (
	errFormat      = errors.New("invalid checksum digest format")
	errLength      = errors.New("invalid checksum digest length")
	errUnsupported = errors.New("unsupported digest algorithm")
)

// Parse reads a digest and validates it. It is returned in either case.
func Parse(s string) (Digest, error) {
	d := Digest(s)
	return d, d.Validate()
}

// NewDigest names what has been written to the hash.
func NewDigest(a Algorithm, h hash.Hash) Digest { return NewDigestFromBytes(a, h.Sum(nil)) }

// NewDigestFromBytes puts a digest together from a hash's sum.
func NewDigestFromBytes(a Algorithm, sum []byte) Digest {
	return NewDigestFromEncoded(a, hex.EncodeToString(sum))
}

// NewDigestFromEncoded puts a digest together from its parts.
func NewDigestFromEncoded(a Algorithm, encoded string) Digest {
	return Digest(string(a) + ":" + encoded)
}

// FromReader names what a reader gives, by the canonical algorithm.
func FromReader(r io.Reader) (Digest, error) { return Canonical.FromReader(r) }

// FromBytes names bytes, by the canonical algorithm.
func FromBytes(b []byte) Digest { return Canonical.FromBytes(b) }

// FromString names the bytes of a string, by the canonical algorithm.
func FromString(s string) Digest { return Canonical.FromString(s) }

// Validate says what is wrong with a digest, or nil.
func (d Digest) Validate() error {
	algorithm, encoded, ok := strings.Cut(string(d), ":")
	if !ok || algorithm == "" || encoded == "" {
		return errFormat
	}
	a := Algorithm(algorithm)
	switch {
	case !a.Available() && isAlgorithm(algorithm) && consists(encoded, isEncoded):
		return errUnsupported
	case !a.Available():
		return errFormat
	case len(encoded) != 2*a.Size():
		return errLength
	case !consists(encoded, isHex):
		return errFormat
	}
	return nil
}

// Algorithm is the part before the colon. Without one it panics.
func (d Digest) Algorithm() Algorithm { return Algorithm(d[:d.colon()]) }

// Encoded is the part behind the colon. Without one it panics.
func (d Digest) Encoded() string { return string(d[d.colon()+1:]) }

// Hex is Encoded by its former name.
func (d Digest) Hex() string { return d.Encoded() }

func (d Digest) String() string { return string(d) }

func (d Digest) colon() int {
	i := strings.IndexByte(string(d), ':')
	if i < 0 {
		panic(fmt.Sprintf("no ':' separator in digest %q", string(d)))
	}
	return i
}

// Verifier compares what is written to it with the digest. Where its algorithm
// is not available it panics.
func (d Digest) Verifier() Verifier { return &verifier{d.Algorithm().Hash(), d} }

// Verifier compares a content with a digest.
type Verifier interface {
	io.Writer

	// Verified says whether what has been written is the digest's content.
	Verified() bool
}

type verifier struct {
	hash.Hash
	digest Digest
}

func (v *verifier) Verified() bool { return NewDigest(v.digest.Algorithm(), v.Hash) == v.digest }

// isAlgorithm says whether s is an algorithm's name by the grammar.
func isAlgorithm(s string) bool {
	begins := true // a part of the name
	for i := range len(s) {
		switch c := s[i]; {
		case isSmall(c) || isDigit(c):
			begins = false
		case strings.IndexByte(".+_-", c) >= 0 && !begins:
			begins = true
		default:
			return false
		}
	}
	return !begins
}

// consists says whether s has bytes, all of one class.
func consists(s string, class func(byte) bool) bool {
	for i := range len(s) {
		if !class(s[i]) {
			return false
		}
	}
	return s != ""
}

func isSmall(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c && c <= 'f' }

func isEncoded(c byte) bool {
	return isSmall(c) || isDigit(c) || 'A' <= c && c <= 'Z' || c == '=' || c == '_' || c == '-'
}
