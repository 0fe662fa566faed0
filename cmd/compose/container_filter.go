package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"compose/orchestrator"
)

// imageIDs finds the ID of an image by its name.
type imageIDs interface {
	ImageID(ctx context.Context, ref string) (string, error)
}

// apply returns the containers that all filters let pass.
func (f containerFilter) apply(ctx context.Context) ([]*orchestrator.Container, error) {
	ancestors := map[string]bool{}
	for _, name := range f.filters["ancestor"] {
		id, err := f.images.ImageID(ctx, name)
		if err != nil {
			return nil, err
		}
		ancestors[id] = true
	}
	list := f.list
	for key, newer := range map[string]bool{"since": true, "before": false} {
		for _, ref := range f.filters[key] {
			at := slices.IndexFunc(f.list, func(c *orchestrator.Container) bool {
				return c.Name() == ref || len(ref) >= 2 && matches("^"+regexp.QuoteMeta(ref), c.ID)
			})
			if at < 0 {
				return nil, fmt.Errorf("--filter %s: no such container: %s", key, ref)
			}
			mark := f.list[at].Created
			list = slices.DeleteFunc(slices.Clone(list), func(c *orchestrator.Container) bool {
				if newer {
					return !c.Created.After(mark)
				}
				return !c.Created.Before(mark)
			})
		}
	}
	var out []*orchestrator.Container
	for _, c := range list {
		if f.keep(c, ancestors) {
			out = append(out, c)
		}
	}
	return out, nil
}

// matches says whether a pattern that a user wrote fits; one that is no
// regular expression stands for itself.
func matches(pattern, text string) bool {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return pattern == text
	}
	return re.MatchString(text)
}
