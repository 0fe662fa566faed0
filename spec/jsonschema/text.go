package jsonschema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// document is the text of a JSON document. All of it is passed over once, for
// where its objects and arrays end, so that nothing is when values in it are
// looked for.
type document struct {
	data  string
	spans []span // in order
}

// span is an object or array: where it begins, and where behind it is; 0 where
// it has no end.
type span struct{ from, to int }

func newDocument(data string) *document {
	d := &document{data: data, spans: make([]span, 0, len(data)/32)}
	var open []int // of d.spans
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i += quoted(data[i:])
		case '{', '[':
			open = append(open, len(d.spans))
			d.spans = append(d.spans, span{from: i})
		case '}', ']':
			if last := len(open) - 1; last >= 0 {
				d.spans[open[last]].to = i + 1
				open = open[:last]
			}
		}
	}
	return d
}

// whole is the value that a document is.
func (d *document) whole() text { return space(text{d, 0, len(d.data)}) }

// end is where behind the object or array is that begins there.
func (d *document) end(from int) int {
	i, ok := slices.BinarySearchFunc(d.spans, from, func(s span, from int) int { return s.from - from })
	if !ok {
		return 0
	}
	return d.spans[i].to
}

// text is a JSON value as it stands in a schema, or what is left of one. It is
// decoded when it is looked at, and then only as deep as it must be.
type text struct {
	doc      *document
	from, to int
}

func (t text) String() string { return t.doc.data[t.from:t.to] }

// kind is the first byte, which tells what kind of value it is.
func (t text) kind() byte {
	if t.from == t.to {
		return 0
	}
	return t.doc.data[t.from]
}

// skip leaves the first bytes out.
func (t text) skip(n int) text { return text{t.doc, t.from + n, t.to} }

// decode is json.Unmarshal.
func (t text) decode(into any) error { return json.Unmarshal([]byte(t.String()), into) }

// malformed says that a schema is not JSON.
func malformed(t text) error {
	return fmt.Errorf("the schema is not JSON at %.40q", t.String())
}

func space(t text) text {
	return t.skip(len(t.String()) - len(strings.TrimLeft(t.String(), " \n\t\r")))
}

// cut takes the value at the beginning of t off the rest, without a look at
// what is in it.
func cut(t text) (value, rest text, err error) {
	end := 0
	switch s := t.String(); t.kind() {
	case '"':
		end = t.from + quoted(s) + 1
	case '{', '[':
		end = t.doc.end(t.from)
	default: // a number or a word, up to what cannot be a part of one
		end = t.from + len(s)
		if i := strings.IndexAny(s, ",}] \n\t\r"); i >= 0 {
			end = t.from + i
		}
	}
	if end <= t.from || end > t.to {
		return text{}, text{}, malformed(t)
	}
	return text{t.doc, t.from, end}, text{t.doc, end, t.to}, nil
}

// cutName is cut for the name of a member.
func cutName(t text) (name string, rest text, err error) {
	value, rest, err := cut(t)
	if err != nil {
		return "", text{}, err
	}
	if s := value.String(); s[0] == '"' && strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1], rest, nil
	}
	return name, rest, value.decode(&name)
}

// quoted is where in s, which begins with a string, that string ends.
func quoted(s string) int {
	for at := 1; ; at++ {
		end := strings.IndexByte(s[at:], '"')
		if end < 0 {
			return len(s)
		}
		escaped := strings.IndexByte(s[at:at+end], '\\')
		if escaped < 0 {
			return at + end
		}
		at = min(at+escaped+1, len(s)-1)
	}
}

// each calls fn for the members of an object, or the elements of an array,
// which have no name.
func (t text) each(fn func(name string, value text) error) error {
	open := t.kind()
	if open != '{' && open != '[' {
		return malformed(t)
	}
	for rest := space(t.skip(1)); ; {
		if rest.kind() == open+2 { // the closing one, in ASCII
			return nil
		}
		var name string
		var value text
		var err error
		if open == '{' {
			if name, rest, err = cutName(rest); err != nil {
				return err
			}
			if rest = space(rest); rest.kind() != ':' {
				return malformed(rest)
			}
			rest = space(rest.skip(1))
		}
		if value, rest, err = cut(rest); err != nil {
			return err
		}
		if err := fn(name, value); err != nil {
			return err
		}
		rest = space(rest)
		if rest.kind() == ',' {
			rest = space(rest.skip(1))
		} else if rest.kind() != open+2 {
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
