package netbridge

import (
	"os"
	"time"
)

// A namespace that nobody holds any more is taken apart by a thread of the
// kernel, in several grace periods and under the lock that every change of an
// interface on the host needs, but all that wait for it by then at once. So the
// namespaces of containers that end together are let go together, when nobody
// is waiting: a network that is removed by then takes its containers' interfaces
// along, also at once.
type outgoing struct {
	namespaces []*os.File
	timer      *time.Timer
}

// lingering is for how long the first of them waits for others.
const lingering = 500 * time.Millisecond

// letGoLater takes over the namespace of a container that has ended.
func (m *Manager) letGoLater(ns *os.File) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outgoing.namespaces = append(m.outgoing.namespaces, ns)
	if m.outgoing.timer == nil {
		m.outgoing.timer = time.AfterFunc(lingering, m.letGo)
	}
}

// letGo lets them all go.
func (m *Manager) letGo() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.outgoing.timer != nil {
		m.outgoing.timer.Stop()
	}
	for _, ns := range m.outgoing.namespaces {
		ns.Close()
	}
	m.outgoing = outgoing{}
}
