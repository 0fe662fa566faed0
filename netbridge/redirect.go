package netbridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

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
var redirection = sync.OnceValues(func() ([]byte, error) {
	var batch nftBatch
	batch.message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	const table, chain = "compose-dns", "output"
	batch.message(nftType(unix.NFT_MSG_NEWTABLE), unix.NLM_F_CREATE, unix.NFPROTO_IPV4, 0)
	batch.text(unix.NFTA_TABLE_NAME, table)
	batch.message(nftType(unix.NFT_MSG_NEWCHAIN), unix.NLM_F_CREATE, unix.NFPROTO_IPV4, 0)
	batch.text(unix.NFTA_CHAIN_TABLE, table)
	batch.text(unix.NFTA_CHAIN_NAME, chain)
	hook := batch.nest(unix.NFTA_CHAIN_HOOK)
	batch.number(unix.NFTA_HOOK_HOOKNUM, unix.NF_INET_LOCAL_OUT)
	priority := int32(-300)
	batch.number(unix.NFTA_HOOK_PRIORITY, uint32(priority))
	hook()
	batch.text(unix.NFTA_CHAIN_TYPE, "filter")
	// Nothing, but in a namespace that has this from before.
	batch.message(nftType(unix.NFT_MSG_DELRULE), 0, unix.NFPROTO_IPV4, 0)
	batch.text(unix.NFTA_RULE_TABLE, table)
	batch.text(unix.NFTA_RULE_CHAIN, chain)
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
	for i, r := range rules {
		flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_APPEND)
		if i == len(rules)-1 {
			flags |= unix.NLM_F_ACK
		}
		batch.message(nftType(unix.NFT_MSG_NEWRULE), flags, unix.NFPROTO_IPV4, 0)
		batch.text(unix.NFTA_RULE_TABLE, table)
		batch.text(unix.NFTA_RULE_CHAIN, chain)
		list := batch.nest(unix.NFTA_RULE_EXPRESSIONS)
		for _, e := range []expr.Any{
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
		} {
			data, err := expr.Marshal(unix.NFPROTO_IPV4, e)
			if err != nil {
				return nil, err
			}
			item := batch.nest(unix.NFTA_LIST_ELEM)
			batch.buf = append(batch.buf, data...)
			item()
		}
		list()
	}
	batch.message(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	return batch.bytes(), nil
})

// redirectResolver installs the redirection in the calling thread's namespace.
func redirectResolver() error {
	transaction, err := redirection()
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	if err := unix.Sendto(fd, transaction, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("write to nftables: %w", err)
	}
	var answer [256]byte
	n, _, err := unix.Recvfrom(fd, answer[:], 0)
	if err != nil {
		return fmt.Errorf("read from nftables: %w", err)
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("read from nftables: malformed answer")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return fmt.Errorf("redirect the resolver's port: %w", unix.Errno(-code))
	}
	return nil
}
