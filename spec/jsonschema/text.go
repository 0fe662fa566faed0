package jsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// text is a JSON value as it stands in a schema. It is decoded when it is
// looked at, and then only as deep as it must be.
type text []byte

// kind is the first byte, which tells what kind of value it is.
func (t text) kind() byte {
	if len(t) == 0 {
		return 0
	}
	return t[0]
}

// malformed says that a schema is not JSON.
func malformed(t text) error {
	return fmt.Errorf("the schema is not JSON at %.40q", string(t))
}

func space(t text) text {
	for len(t) > 0 && (t[0] == ' ' || t[0] == '\n' || t[0] == '\t' || t[0] == '\r') {
		t = t[1:]
	}
	return t
}

// cut takes the value at the beginning of t off the rest, without a look at
// what is in it.
func cut(t text) (value, rest text, err error) {
	depth := 0
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '"':
			i += quoted(t[i:])
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			// A number or a word, up to what cannot be a part of one.
			for i+1 < len(t) && t[i+1] != ',' && t[i+1] != '}' && t[i+1] != ']' && t[i+1] > ' ' {
				i++
			}
		}
		if depth < 0 || i >= len(t) {
			break
		}
		if depth == 0 {
			return t[:i+1], t[i+1:], nil
		}
	}
	return nil, nil, malformed(t)
}

// cutName is cut for the name of a member.
func cutName(t text) (name string, rest text, err error) {
	value, rest, err := cut(t)
	if err != nil {
		return "", nil, err
	}
	if value.kind() == '"' && bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), rest, nil
	}
	return name, rest, json.Unmarshal(value, &name)
}

// quoted is where in t, which begins with a string, that string ends.
func quoted(t text) int {
	for at := 1; ; at++ {
		end := bytes.IndexByte(t[at:], '"')
		if end < 0 {
			return len(t)
		}
		escaped := bytes.IndexByte(t[at:at+end], '\\')
		if escaped < 0 {
			return at + end
		}
		at = min(at+escaped+1, len(t)-1)
	}
}

// each calls fn for the members of an object, or the elements of an array,
// which have no name.
func (t text) each(fn func(name string, value text) error) error {
	open := t.kind()
	if open != '{' && open != '[' {
		return malformed(t)
	}
	for rest := space(t[1:]); ; {
		if len(rest) > 0 && rest[0] == open+2 { // the closing one, in ASCII
			return nil
		}
		var name string
		var value text
		var err error
		if open == '{' {
			if name, rest, err = cutName(rest); err != nil {
				return err
			}
			if rest = space(rest); len(rest) == 0 || rest[0] != ':' {
				return malformed(rest)
			}
			rest = space(rest[1:])
		}
		if value, rest, err = cut(rest); err != nil {
			return err
		}
		if err := fn(name, value); err != nil {
			return err
		}
		rest = space(rest)
		if len(rest) > 0 && rest[0] == ',' {
			rest = space(rest[1:])
		} else if len(rest) == 0 || rest[0] != open+2 {
			return malformed(rest)
		}
	}
}

// members are those of an object by name.
func (t text) members() (map[string]text, error) {
	all := map[string]text{}
	err := t.each(func(name string, value text) error {
		all[name] = value
		return nil
	})
	return all, err
}
