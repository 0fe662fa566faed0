package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// filters are what --filter asks for: by key, any of the values.
type filters map[string][]string

// filterFlag adds --filter, of which the values are read by parseFilters.
func filterFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringArrayP("filter", "f", nil, "Only what has a property, as KEY=VALUE (repeatable)")
}

// parseFilters reads the values of --filter; the keys must be of those known.
func parseFilters(words []string, known ...string) (filters, error) {
	f := filters{}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !ok {
			return nil, fmt.Errorf("bad format of filter %q (expected name=value)", w)
		}
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("invalid filter '%s'; this command knows %s", key, strings.Join(known, ", "))
		}
		f[key] = append(f[key], strings.TrimSpace(value))
	}
	return f, nil
}

// any says whether no value of the key is asked for, or one that fits.
func (f filters) any(key string, fits func(value string) bool) bool {
	values, asked := f[key]
	return !asked || slices.ContainsFunc(values, fits)
}

// labels says whether all labels that are asked for are there, and none of
// those that must not be.
func (f filters) labels(labels map[string]string) bool {
	has := func(word string) bool {
		key, value, withValue := strings.Cut(word, "=")
		have, ok := labels[key]
		return ok && (!withValue || have == value)
	}
	for _, w := range f["label"] {
		if !has(w) {
			return false
		}
	}
	return !slices.ContainsFunc(f["label!"], has)
}

// until says whether something is older than --filter until asks for.
func (f filters) until(created time.Time) (bool, error) {
	for _, v := range f["until"] {
		limit, err := parseTime(v, time.Now())
		if err != nil {
			return false, fmt.Errorf("--filter until: %w", err)
		}
		if !created.Before(limit) {
			return false, nil
		}
	}
	return true, nil
}
