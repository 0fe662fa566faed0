package netbridge

import "compose/internal/journal"

// happened writes down an event of a network.
func (m *Manager) happened(n *Network, action string) {
	journal.Add(m.roots, "network", action, n.ID, map[string]string{"name": n.Name, "type": n.Driver})
}

// happened writes down that the container has come to networks or left them.
func (s *Sandbox) happened(action string, endpoints ...endpointHolder) {
	for _, e := range endpoints {
		driver := "bridge"
		if e.Direct {
			driver = "macvlan"
		}
		journal.Add(s.m.roots, "network", action, e.NetworkID, map[string]string{"name": e.Network, "type": driver, "container": s.record.ContainerID})
	}
}
