package build

import "github.com/moby/buildkit/solver/pb"

// What the network of a RUN step takes is much of what a short step takes as a
// whole. So whoever runs the steps is told of those that will come as soon as
// it is known that they are not known, and makes it meanwhile.

// foresee notes the RUN steps with a network of the graph below last.
func (s *session) foresee(last *vertex) {
	seen := map[*vertex]bool{}
	var walk func(*vertex)
	walk = func(v *vertex) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		if op := v.op.GetExec(); op != nil && op.Network == pb.NetMode_UNSET {
			s.mu.Lock()
			s.coming[v] = false
			s.mu.Unlock()
		}
		for _, in := range v.inputs {
			walk(in)
		}
	}
	walk(last)
	for v := range seen {
		if v.meta.GetIgnoreCache() {
			s.missed(v)
		}
	}
}

// missed says that v has to be worked out, and so all steps that follow on it.
func (s *session) missed(v *vertex) {
	n := 0
	s.mu.Lock()
	for step, expected := range s.coming {
		if !expected && step.follows(v, map[*vertex]bool{}) {
			s.coming[step] = true
			n++
		}
	}
	s.mu.Unlock()
	if n > 0 {
		s.steps.Expect(n)
	}
}

// follows says whether other is v or among what v is made of.
func (v *vertex) follows(other *vertex, seen map[*vertex]bool) bool {
	if v == other {
		return true
	}
	for _, in := range v.inputs {
		if in != nil && !seen[in] {
			seen[in] = true
			if in.follows(other, seen) {
				return true
			}
		}
	}
	return false
}

// decided says that it is known by now whether a step runs.
func (s *session) decided(v *vertex, runs bool) {
	s.mu.Lock()
	expected := s.coming[v]
	delete(s.coming, v)
	s.mu.Unlock()
	if expected && !runs {
		s.steps.Expect(-1)
	}
}
