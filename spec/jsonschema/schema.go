package jsonschema

import (
	"fmt"
	"io"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Format is a named form of strings. Formats are not checked, which is what
// draft 2020-12 says of them.
type Format struct {
	Name     string
	Validate func(v any) error
}

// Compiler makes schemas of JSON documents.
type Compiler struct{ documents map[string]*document }

// NewCompiler returns a compiler that knows no document.
func NewCompiler() *Compiler { return &Compiler{documents: map[string]*document{}} }

// UnmarshalJSON reads a document for AddResource.
func UnmarshalJSON(r io.Reader) (any, error) {
	var all content
	_, err := io.Copy(&all, r)
	return newDocument(string(all)), err
}

// content is what a reader has: of a strings.Reader the string itself, uncopied.
type content string

func (c *content) Write(p []byte) (int, error) { return c.WriteString(string(p)) }

func (c *content) WriteString(s string) (int, error) {
	*c += content(s)
	return len(s), nil
}

// AddResource gives a document, which UnmarshalJSON has read, its name.
func (c *Compiler) AddResource(name string, read any) error {
	d, ok := read.(*document)
	if !ok {
		return fmt.Errorf("%s: a %T is no document that UnmarshalJSON has read", name, read)
	}
	c.documents[name] = d
	return nil
}

// RegisterFormat makes a format known.
func (c *Compiler) RegisterFormat(*Format) {}

// Compile returns the schema in a document.
func (c *Compiler) Compile(name string) (*Schema, error) {
	d, ok := c.documents[name]
	if !ok || d.whole().kind() != '{' {
		return nil, fmt.Errorf("%s is no document with a schema", name)
	}
	s := &Schema{name: name, referred: map[string]*node{}, passed: map[string]map[string]text{}, patterns: map[string]*regexp.Regexp{}}
	s.root = &node{schema: s, text: d.whole()}
	return s, nil
}

// Schema is a schema of which as much has been read as was needed so far. It
// may be used by several goroutines.
type Schema struct {
	name string
	root *node

	mu       sync.Mutex                 // of all that is read
	referred map[string]*node           // by reference
	passed   map[string]map[string]text // what references lead through
	patterns map[string]*regexp.Regexp
}

// node is a schema within the schema.
type node struct {
	schema *Schema
	text   text
	known  *keywords // nil until it is read
}

// keywords are what a schema asks of a value.
type keywords struct {
	never bool // the schema false

	types            []string
	enum             []any
	pattern          *regexp.Regexp
	minimum, maximum *big.Rat
	required         []string
	unique           bool

	properties  map[string]*node
	matching    []matching
	additional  *node
	items       *node
	unevaluated *node

	ref                 *node
	allOf, anyOf, oneOf []*node
}

// matching is a member of patternProperties.
type matching struct {
	pattern *regexp.Regexp
	node    *node
}

// read returns the keywords of a schema.
func (n *node) read() (*keywords, error) {
	if n.known != nil {
		return n.known, nil
	}
	k := &keywords{}
	switch n.text.kind() {
	case 't':
	case 'f':
		k.never = true
	default:
		err := n.text.each(func(name string, value text) error { return n.keyword(k, name, value) })
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", n.schema.name, err)
		}
	}
	n.known = k
	return k, nil
}

// Check reads the whole schema and reports what is not supported in it.
func (s *Schema) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts, err := s.root.text.members()
	if err != nil {
		return err
	}
	if definitions := parts["$defs"]; definitions.doc != nil {
		err := definitions.each(func(_ string, t text) error { return s.root.child(t).check() })
		if err != nil {
			return err
		}
	}
	return s.root.check()
}

// check reads a schema and those in it, but not those it refers to.
func (n *node) check() error {
	k, err := n.read()
	if err != nil {
		return err
	}
	all := slices.Concat([]*node{k.additional, k.items, k.unevaluated}, k.allOf, k.anyOf, k.oneOf, slices.Collect(maps.Values(k.properties)))
	for _, m := range k.matching {
		all = append(all, m.node)
	}
	for _, below := range all {
		if below != nil {
			if err := below.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// annotations say nothing about what is valid.
var annotations = map[string]bool{
	"$schema": true, "$id": true, "$defs": true, "$comment": true, "title": true, "description": true,
	"deprecated": true, "default": true, "examples": true, "format": true,
}

func (n *node) keyword(k *keywords, name string, value text) (err error) {
	switch name {
	case "type":
		if value.kind() == '"' {
			k.types = make([]string, 1)
			return value.decode(&k.types[0])
		}
		return value.decode(&k.types)
	case "enum":
		return value.decode(&k.enum)
	case "pattern":
		var pattern string
		if err := value.decode(&pattern); err != nil {
			return err
		}
		k.pattern, err = n.schema.pattern(pattern)
	case "minimum":
		k.minimum, err = number(value)
	case "maximum":
		k.maximum, err = number(value)
	case "required":
		return value.decode(&k.required)
	case "uniqueItems":
		return value.decode(&k.unique)
	case "properties":
		k.properties = map[string]*node{}
		return value.each(func(name string, value text) error {
			k.properties[name] = n.child(value)
			return nil
		})
	case "patternProperties":
		return value.each(func(name string, value text) error {
			pattern, err := n.schema.pattern(name)
			k.matching = append(k.matching, matching{pattern, n.child(value)})
			return err
		})
	case "additionalProperties":
		k.additional = n.child(value)
	case "unevaluatedProperties":
		k.unevaluated = n.child(value)
	case "items":
		k.items = n.child(value)
	case "$ref":
		var ref string
		if err := value.decode(&ref); err != nil {
			return err
		}
		k.ref, err = n.schema.resolve(ref)
	case "allOf":
		k.allOf, err = n.children(value)
	case "anyOf":
		k.anyOf, err = n.children(value)
	case "oneOf":
		k.oneOf, err = n.children(value)
	default:
		if !annotations[name] {
			return fmt.Errorf("the keyword %q is not supported", name)
		}
	}
	return err
}

func (n *node) child(t text) *node { return &node{schema: n.schema, text: t} }

func (n *node) children(t text) (all []*node, err error) {
	err = t.each(func(_ string, value text) error {
		all = append(all, n.child(value))
		return nil
	})
	return all, err
}

func number(t text) (*big.Rat, error) {
	r, ok := new(big.Rat).SetString(t.String())
	if !ok {
		return nil, malformed(t)
	}
	return r, nil
}

func (s *Schema) pattern(p string) (*regexp.Regexp, error) {
	if have := s.patterns[p]; have != nil {
		return have, nil
	}
	re, err := regexp.Compile(p)
	if err == nil {
		s.patterns[p] = re
	}
	return re, err
}

// resolve finds what a reference within the document, "#/...", leads to.
func (s *Schema) resolve(ref string) (*node, error) {
	if n := s.referred[ref]; n != nil {
		return n, nil
	}
	if !strings.HasPrefix(ref, "#") {
		return nil, fmt.Errorf("the reference %q leads out of the document", ref)
	}
	n := s.root
	for at := 1; at < len(ref); {
		end := len(ref)
		if next := strings.IndexByte(ref[at+1:], '/'); next >= 0 {
			end = at + 1 + next
		}
		parts, err := s.members(ref[:at], n.text)
		if err != nil {
			return nil, err
		}
		t := parts[unescape.Replace(strings.TrimPrefix(ref[at:end], "/"))]
		if t.doc == nil {
			return nil, fmt.Errorf("the reference %q leads to nothing", ref)
		}
		n, at = n.child(t), end
	}
	s.referred[ref] = n
	return n, nil
}

// unescape turns a part of a reference into the name it stands for.
var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// members are those of an object that references lead through.
func (s *Schema) members(ref string, t text) (map[string]text, error) {
	if have := s.passed[ref]; have != nil {
		return have, nil
	}
	parts, err := t.members()
	s.passed[ref] = parts
	return parts, err
}
