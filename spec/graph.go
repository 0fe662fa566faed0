package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Graph is the services of a project and which depends on which.
type Graph struct {
	levels     [][]string
	dependents map[string][]string
}

// CycleError says that services depend on each other in a circle.
type CycleError struct {
	Path []string // the first service again at the end
}

func (e *CycleError) Error() string {
	return fmt.Sprintf("dependency cycle: %s; remove one of these depends_on", strings.Join(e.Path, " -> "))
}

// Graph arranges the project's services by what they depend on.
func (p *Project) Graph() (*Graph, error) { return graph(p.Services) }

func graph(services types.Services) (*Graph, error) {
	g := &Graph{dependents: map[string][]string{}}
	level := map[string]int{}
	var path []string
	var visit func(string) error
	visit = func(name string) error {
		if i := slices.Index(path, name); i >= 0 {
			return &CycleError{Path: append(slices.Clone(path[i:]), name)}
		}
		if _, done := level[name]; done {
			return nil
		}
		path = append(path, name)
		deepest := 0
		for _, dep := range slices.Sorted(maps.Keys(services[name].DependsOn)) {
			if _, ok := services[dep]; !ok {
				continue // optional, or left out with --no-deps
			}
			if err := visit(dep); err != nil {
				return err
			}
			g.dependents[dep] = append(g.dependents[dep], name)
			deepest = max(deepest, level[dep]+1)
		}
		path = path[:len(path)-1]
		level[name] = deepest
		for len(g.levels) <= deepest {
			g.levels = append(g.levels, nil)
		}
		g.levels[deepest] = append(g.levels[deepest], name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	for _, l := range g.levels {
		slices.Sort(l)
	}
	return g, nil
}

// Levels are the services such that each depends only on services of earlier
// levels; those of one level may start side by side.
func (g *Graph) Levels() [][]string { return g.levels }

// Order lists each service after those it depends on.
func (g *Graph) Order() []string { return slices.Concat(g.levels...) }

// Reverse lists each service before those it depends on.
func (g *Graph) Reverse() []string {
	out := g.Order()
	slices.Reverse(out)
	return out
}

// Dependents are the services that depend on one directly.
func (g *Graph) Dependents(name string) []string { return slices.Clone(g.dependents[name]) }
