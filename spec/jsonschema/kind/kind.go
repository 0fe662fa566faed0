// Package kind has the ways in which a value can fail a schema. The words are
// those that compose-go's users know.
package kind

import (
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/text/message"
)

// Group is a failure of several parts; they are its causes.
type Group struct{}

// LocalizedString says what is wrong; so do those of all kinds below.
func (*Group) LocalizedString(p *message.Printer) string { return p.Sprintf("validation failed") }

// FalseSchema is the failure of a value that may not be there.
type FalseSchema struct{}

func (*FalseSchema) LocalizedString(p *message.Printer) string { return p.Sprintf("false schema") }

// Type is the failure of a value of another type.
type Type struct {
	Got  string
	Want []string
}

func (k *Type) LocalizedString(p *message.Printer) string {
	return p.Sprintf("got %s, want %s", k.Got, strings.Join(k.Want, " or "))
}

// Enum is the failure of a value that is not on the list.
type Enum struct {
	Got  any
	Want []any
}

func (k *Enum) LocalizedString(p *message.Printer) string {
	want := make([]string, 0, len(k.Want))
	for _, v := range k.Want {
		switch v := v.(type) {
		case string:
			want = append(want, quote(v))
		default:
			want = append(want, fmt.Sprint(v))
		}
	}
	if len(want) == 1 {
		return p.Sprintf("value must be %s", want[0])
	}
	return p.Sprintf("value must be one of %s", strings.Join(want, ", "))
}

// Pattern is the failure of a string that does not match.
type Pattern struct{ Got, Want string }

func (k *Pattern) LocalizedString(p *message.Printer) string {
	return p.Sprintf("%s does not match pattern %s", quote(k.Got), quote(k.Want))
}

// Minimum is the failure of a number that is too small.
type Minimum struct{ Got, Want *big.Rat }

func (k *Minimum) LocalizedString(p *message.Printer) string {
	return p.Sprintf("minimum: got %v, want %v", float(k.Got), float(k.Want))
}

// Maximum is the failure of a number that is too large.
type Maximum struct{ Got, Want *big.Rat }

func (k *Maximum) LocalizedString(p *message.Printer) string {
	return p.Sprintf("maximum: got %v, want %v", float(k.Got), float(k.Want))
}

func float(r *big.Rat) float64 {
	f, _ := r.Float64()
	return f
}

// Required is the failure of an object that lacks members.
type Required struct{ Missing []string }

func (k *Required) LocalizedString(p *message.Printer) string {
	if len(k.Missing) == 1 {
		return p.Sprintf("missing property %s", quote(k.Missing[0]))
	}
	return p.Sprintf("missing properties %s", quoted(k.Missing))
}

// AdditionalProperties is the failure of an object with members that it may
// not have.
type AdditionalProperties struct{ Properties []string }

func (k *AdditionalProperties) LocalizedString(p *message.Printer) string {
	return p.Sprintf("additional properties %s not allowed", quoted(k.Properties))
}

// UniqueItems is the failure of a list that has something twice, at these two
// places.
type UniqueItems struct{ Duplicates [2]int }

func (k *UniqueItems) LocalizedString(p *message.Printer) string {
	return p.Sprintf("items at %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
}

// AllOf is the failure of some of several schemas.
type AllOf struct{}

func (*AllOf) LocalizedString(p *message.Printer) string { return p.Sprintf("allOf failed") }

// AnyOf is the failure of all of several schemas.
type AnyOf struct{}

func (*AnyOf) LocalizedString(p *message.Printer) string { return p.Sprintf("anyOf failed") }

// OneOf is the failure of all of several schemas, or the success of more than
// one: then those are the numbers of the first two.
type OneOf struct{ Subschemas []int }

func (k *OneOf) LocalizedString(p *message.Printer) string {
	if len(k.Subschemas) < 2 {
		return p.Sprintf("oneOf failed, none matched")
	}
	return p.Sprintf("oneOf failed, subschemas %d, %d matched", k.Subschemas[0], k.Subschemas[1])
}

// quote puts a string between single quotes, with what is special escaped.
func quote(s string) string {
	s = fmt.Sprintf("%q", s)
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}

func quoted(list []string) string {
	all := make([]string, 0, len(list))
	for _, s := range list {
		all = append(all, quote(s))
	}
	return strings.Join(all, ", ")
}
