package netbridge

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
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
			var up, down time.Duration
			for range b.N {
				var wg sync.WaitGroup
				all := make([]*Sandbox, 50)
				begin := time.Now()
				for i := range all {
					wg.Go(func() { all[i] = w.open(b, i, ports) })
				}
				wg.Wait()
				up += time.Since(begin)
				begin = time.Now()
				for _, s := range all {
					wg.Go(func() { must(b, s.Close(b.Context())) })
				}
				wg.Wait()
				down += time.Since(begin)
				time.Sleep(300 * time.Millisecond) // the kernel's own cleaning
			}
			b.ReportMetric(float64(up.Microseconds())/float64(b.N)/50, "µs-up/sandbox")
			b.ReportMetric(float64(down.Microseconds())/float64(b.N)/50, "µs-down/sandbox")
		})
	}
}

// BenchmarkKernelFloor is what the kernel alone takes for a namespace with a
// pair of interfaces, one of them a bridge port.
func BenchmarkKernelFloor(b *testing.B) {
	w := newWorld(b)
	n := w.network(NetworkConfig{Name: "bench"})
	bridge := w.m.bridgeIndex(n.Bridge)
	host, err := w.m.netlink()
	must(b, err)
	for i := range b.N {
		must(b, onThread(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			s, err := rtnl.Open()
			if err != nil {
				return err
			}
			defer s.Close()
			name := fmt.Sprintf("cv%sbb%d", w.m.tag, i%10000)
			batch := new(rtnl.Batch)
			batch.Up(1)
			batch.AddVeth(rtnl.Veth{Name: "eth0", Index: 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, MTU: 1500, PeerNS: int(w.host.file.Fd()), PeerName: name, PeerGroup: portGroup(bridge)})
			batch.AddAddress(2, netip.MustParsePrefix("172.17.0.9/16"))
			if err := s.Run(batch); err != nil {
				return err
			}
			port := new(rtnl.Batch)
			port.UpPort(name, bridge)
			return host.Run(port)
		}))
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
