package jsonschema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"

	"golang.org/x/text/message"

	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// ErrorKind says what a value fails.
type ErrorKind interface {
	LocalizedString(*message.Printer) string
}

// ValidationError says that a value is not what the schema asks for.
type ValidationError struct {
	InstanceLocation []string // of the value, in the data
	ErrorKind        ErrorKind
	Causes           []*ValidationError // what makes up a failure of several parts
}

func (e *ValidationError) Error() string {
	return fmt.Sprintf("at %q: %s", e.InstanceLocation, e.ErrorKind.LocalizedString(message.NewPrinter(message.MatchLanguage("en"))))
}

// Validate checks data as encoding/json decodes it into an any. An error is a
// *ValidationError, unless the schema itself is at fault.
func (s *Schema) Validate(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, failure, err := s.root.validate(v, nil, false)
	if err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	return nil
}

// evaluated are the members of an object that some schema has spoken for.
type evaluated map[string]bool

// check is one value against one schema.
type check struct {
	known    *keywords
	at       []string
	done     evaluated // nil: nobody asks
	failures []*ValidationError
}

// validate returns why the value is not valid, if it is not; track asks for
// what was evaluated.
func (n *node) validate(v any, at []string, track bool) (evaluated, *ValidationError, error) {
	k, err := n.read()
	if err != nil {
		return nil, nil, err
	}
	c := &check{known: k, at: at}
	if track || k.unevaluated != nil {
		c.done = evaluated{}
	}
	if err := c.run(v); err != nil {
		return nil, nil, err
	}
	switch len(c.failures) {
	case 0:
		if !track {
			c.done = nil
		}
		return c.done, nil, nil
	case 1:
		return nil, c.failures[0], nil
	}
	return nil, c.failure(&kind.Group{}, c.failures...), nil
}

func (c *check) failure(k ErrorKind, causes ...*ValidationError) *ValidationError {
	return &ValidationError{InstanceLocation: slices.Clone(c.at), ErrorKind: k, Causes: causes}
}

func (c *check) fail(k ErrorKind, causes ...*ValidationError) {
	c.failures = append(c.failures, c.failure(k, causes...))
}

func (c *check) run(v any) error {
	k := c.known
	switch {
	case k.never:
		c.fail(&kind.FalseSchema{})
		return nil
	case k.types != nil && !slices.ContainsFunc(k.types, func(t string) bool { return is(v, t) }):
		c.fail(&kind.Type{Got: typeOf(v), Want: slices.Clone(k.types)})
		return nil
	case k.enum != nil && !slices.ContainsFunc(k.enum, func(e any) bool { return reflect.DeepEqual(e, v) }):
		c.fail(&kind.Enum{Got: v, Want: k.enum})
		return nil
	}
	if k.ref != nil {
		if _, err := c.also(k.ref, v); err != nil {
			return err
		}
	}
	var err error
	switch v := v.(type) {
	case map[string]any:
		err = c.object(v)
	case []any:
		err = c.array(v)
	case string:
		if k.pattern != nil && !k.pattern.MatchString(v) {
			c.fail(&kind.Pattern{Got: v, Want: k.pattern.String()})
		}
	case float64, json.Number:
		c.number(v)
	}
	if err == nil {
		err = c.combine(v)
	}
	if err == nil {
		err = c.unevaluated(v)
	}
	return err
}

// also has another schema check the same value; it fails with that one.
func (c *check) also(n *node, v any) (*ValidationError, error) {
	failure, err := c.try(n, v)
	if failure != nil {
		c.failures = append(c.failures, failure)
	}
	return failure, err
}

// try has another schema check the same value.
func (c *check) try(n *node, v any) (*ValidationError, error) {
	done, failure, err := n.validate(v, c.at, c.done != nil)
	maps.Copy(c.done, done)
	return failure, err
}

// member checks a value within the value.
func (c *check) member(n *node, v any, name string) error {
	_, failure, err := n.validate(v, append(c.at, name), false)
	if failure != nil {
		c.failures = append(c.failures, failure)
	}
	return err
}

func (c *check) object(object map[string]any) error {
	k := c.known
	var missing []string
	for _, name := range k.required {
		if _, ok := object[name]; !ok {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		c.fail(&kind.Required{Missing: missing})
	}
	var additional []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		spoken := false
		if n := k.properties[name]; n != nil {
			spoken = true
			if err := c.member(n, object[name], name); err != nil {
				return err
			}
		}
		for _, m := range k.matching {
			if !m.pattern.MatchString(name) {
				continue
			}
			spoken = true
			if err := c.member(m.node, object[name], name); err != nil {
				return err
			}
		}
		if !spoken && k.additional != nil {
			spoken = true
			if k.additional.text.kind() == 'f' {
				additional = append(additional, name)
			} else if err := c.member(k.additional, object[name], name); err != nil {
				return err
			}
		}
		if spoken && c.done != nil {
			c.done[name] = true
		}
	}
	if additional != nil {
		c.fail(&kind.AdditionalProperties{Properties: additional})
	}
	return nil
}

func (c *check) array(array []any) error {
	if c.known.unique {
		if i, j, found := twins(array); found {
			c.fail(&kind.UniqueItems{Duplicates: [2]int{i, j}})
		}
	}
	if c.known.items == nil {
		return nil
	}
	for i, item := range array {
		if err := c.member(c.known.items, item, strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// twins finds two equal items.
func twins(array []any) (i, j int, found bool) {
	scalars := map[any]int{}
	for j, item := range array {
		switch item.(type) {
		case map[string]any, []any:
			i := slices.IndexFunc(array[:j], func(other any) bool { return reflect.DeepEqual(other, item) })
			if i >= 0 {
				return i, j, true
			}
		default:
			if i, ok := scalars[item]; ok {
				return i, j, true
			}
			scalars[item] = j
		}
	}
	return 0, 0, false
}

func (c *check) number(v any) {
	if c.known.minimum == nil && c.known.maximum == nil {
		return
	}
	got, ok := new(big.Rat).SetString(fmt.Sprint(v))
	if !ok {
		return
	}
	if m := c.known.minimum; m != nil && got.Cmp(m) < 0 {
		c.fail(&kind.Minimum{Got: got, Want: m})
	}
	if m := c.known.maximum; m != nil && got.Cmp(m) > 0 {
		c.fail(&kind.Maximum{Got: got, Want: m})
	}
}

// combine checks what is said with other schemas for the same value.
func (c *check) combine(v any) error {
	var failures []*ValidationError
	for _, n := range c.known.allOf {
		failure, err := c.try(n, v)
		if err != nil {
			return err
		}
		if failure != nil {
			failures = append(failures, failure)
		}
	}
	if failures != nil {
		c.fail(&kind.AllOf{}, failures...)
	}
	if failures, matched, err := c.matches(c.known.anyOf, v); err != nil {
		return err
	} else if len(failures) > 0 && len(matched) == 0 {
		c.fail(&kind.AnyOf{}, failures...)
	}
	failures, matched, err := c.matches(c.known.oneOf, v)
	switch {
	case err != nil:
		return err
	case len(matched) > 1:
		c.fail(&kind.OneOf{Subschemas: matched[:2]})
	case len(failures) > 0 && len(matched) == 0:
		c.fail(&kind.OneOf{}, failures...)
	}
	return nil
}

// matches tries alternatives.
func (c *check) matches(list []*node, v any) (failures []*ValidationError, matched []int, err error) {
	for i, n := range list {
		failure, err := c.try(n, v)
		if err != nil {
			return nil, nil, err
		}
		if failure == nil {
			matched = append(matched, i)
		} else {
			failures = append(failures, failure)
		}
	}
	return failures, matched, nil
}

// unevaluated checks the members that no schema has spoken for.
func (c *check) unevaluated(v any) error {
	object, ok := v.(map[string]any)
	if !ok || c.known.unevaluated == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !c.done[name] {
			c.done[name] = true
			if err := c.member(c.known.unevaluated, object[name], name); err != nil {
				return err
			}
		}
	}
	return nil
}

// is says whether a value is of a type by its name in a schema.
func is(v any, name string) bool {
	got := typeOf(v)
	return got == name || got == "number" && name == "integer" && isInteger(v)
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64, json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return fmt.Sprintf("%T", v)
}

func isInteger(v any) bool {
	if f, ok := v.(float64); ok {
		return f == math.Trunc(f)
	}
	r, ok := new(big.Rat).SetString(fmt.Sprint(v))
	return ok && r.IsInt()
}
