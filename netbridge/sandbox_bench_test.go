package netbridge

import (
	"fmt"
	"sync"
	"testing"
)

func BenchmarkSandbox(b *testing.B) {
	w := newWorld(b)
	w.network(NetworkConfig{Name: "bench"})
	for _, ports := range []int{0, 1} {
		b.Run(fmt.Sprintf("ports=%d", ports), func(b *testing.B) {
			for i := range b.N {
				s := w.open(b, i, ports)
				must(b, s.Close(b.Context()))
			}
		})
		b.Run(fmt.Sprintf("ports=%d/parallel=50", ports), func(b *testing.B) {
			for range b.N {
				var wg sync.WaitGroup
				all := make([]*Sandbox, 50)
				for i := range all {
					wg.Go(func() { all[i] = w.open(b, i, ports) })
				}
				wg.Wait()
				for _, s := range all {
					wg.Go(func() { must(b, s.Close(b.Context())) })
				}
				wg.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/50, "µs/sandbox")
		})
	}
}

func (w *world) open(b *testing.B, i, ports int) *Sandbox {
	name := fmt.Sprintf("bench-%d", i)
	cfg := SandboxConfig{ContainerID: testID(name), ContainerName: name, Endpoints: []EndpointConfig{{Network: "bench", Aliases: []string{"web"}}}}
	for p := range ports {
		cfg.Ports = append(cfg.Ports, PortMapping{ContainerPort: uint16(80 + p), Protocol: "tcp"})
	}
	s, err := w.m.NewSandbox(b.Context(), cfg)
	if err != nil {
		b.Error(err)
	}
	return s
}
