package netbridge

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// resolverPort is where the resolver's sockets are bound inside a container, at
// 127.0.0.11. Port 53 stays the container's own: a socket there would keep it
// from binding 0.0.0.0:53. It lies above the kernel's ephemeral ports.
const resolverPort = 61053

var resolverAddress = [4]byte{127, 0, 0, 11}

// redirection is the nftables transaction that, inside a container's network
// namespace, makes port 53 of 127.0.0.11 reach resolverPort. It rewrites the
// port field of each packet and needs no connection tracking, which would
// cost every packet of the container something and the namespace a lot. It is
// the same for every container, so it is encoded once.
var redirection = sync.OnceValues(func() (nftTransaction, error) {
	batch := newBatch()
	table := &nftables.Table{Name: "compose-dns", Family: nftables.TableFamilyIPv4}
	batch.addTable(table)
	priority := nftables.ChainPriority(-300)
	chain := batch.addChain(&nftables.Chain{Name: "output", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: &priority})
	batch.flushChain(chain) // empty, but in a namespace that has this from before
	rules := []struct {
		proto          byte
		checksum       uint32 // its offset in the transport header
		addr           uint32 // offset of the address to match in the IP header
		port           uint32 // offset of the port to match and to write
		match, rewrite uint16
	}{
		{unix.IPPROTO_UDP, 6, 16, 2, 53, resolverPort},
		{unix.IPPROTO_UDP, 6, 12, 0, resolverPort, 53},
		{unix.IPPROTO_TCP, 16, 16, 2, 53, resolverPort},
		{unix.IPPROTO_TCP, 16, 12, 0, resolverPort, 53},
	}
	for _, r := range rules {
		batch.addRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs{
			network(r.addr, 4, reg),
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: resolverAddress[:]},
			meta(expr.MetaKeyL4PROTO, reg),
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{r.proto}},
			&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: r.port, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: binary.BigEndian.AppendUint16(nil, r.match)},
			&expr.Immediate{Register: reg, Data: binary.BigEndian.AppendUint16(nil, r.rewrite)},
			&expr.Payload{
				OperationType: expr.PayloadWrite, SourceRegister: reg, Base: expr.PayloadBaseTransportHeader,
				Offset: r.port, Len: 2, CsumType: expr.CsumTypeInet, CsumOffset: r.checksum,
			},
		}})
	}
	return batch.finish()
})

// redirectResolver installs the redirection in the calling thread's namespace.
func redirectResolver() error {
	transaction, err := redirection()
	if err != nil {
		return err
	}
	s, err := openNft()
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.commit(transaction); err != nil {
		return fmt.Errorf("redirect the resolver's port: %w", err)
	}
	return nil
}
