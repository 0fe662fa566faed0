package netbridge

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// nftBatch encodes one nftables transaction. The library of which we take the
// types and the expressions asks the kernel to answer each message, and to send
// each rule back, which takes longer than all the rest; here one answer, that
// of the last message, is for all.
type nftBatch struct {
	buf   []byte
	last  int    // offset of the message under construction
	count uint32 // of messages, which is the next one's sequence number
	err   error  // the first
}

func newBatch() *nftBatch {
	b := new(nftBatch)
	b.message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	return b
}

// nftTransaction is a batch as the kernel takes it.
type nftTransaction struct {
	bytes    []byte
	answered uint32 // number of the message that asks for an answer
}

// finish ends a batch of at least one message.
func (b *nftBatch) finish() (nftTransaction, error) {
	if b.err != nil {
		return nftTransaction{}, b.err
	}
	flags := b.buf[b.last+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	answered := b.count - 1
	b.message(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	b.close()
	return nftTransaction{b.buf, answered}, nil
}

func nftType(message uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | message }

func (b *nftBatch) message(kind, flags uint16, family byte, resource uint16) {
	b.close()
	b.last = len(b.buf)
	b.buf = append(b.buf, make([]byte, unix.SizeofNlMsghdr)...)
	binary.NativeEndian.PutUint16(b.buf[b.last+4:], kind)
	binary.NativeEndian.PutUint16(b.buf[b.last+6:], flags|unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b.buf[b.last+8:], b.count)
	b.count++
	b.buf = append(b.buf, family, unix.NFNETLINK_V0)
	b.buf = binary.BigEndian.AppendUint16(b.buf, resource)
}

func (b *nftBatch) close() {
	if len(b.buf) > b.last {
		binary.NativeEndian.PutUint32(b.buf[b.last:], uint32(len(b.buf)-b.last))
	}
}

func (b *nftBatch) attr(kind uint16, data []byte) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(unix.SizeofRtAttr+len(data)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, kind)
	b.buf = append(b.buf, data...)
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *nftBatch) text(kind uint16, s string) { b.attr(kind, append([]byte(s), 0)) }

func (b *nftBatch) number(kind uint16, v uint32) {
	b.attr(kind, binary.BigEndian.AppendUint32(nil, v))
}

func (b *nftBatch) nest(kind uint16) (end func()) {
	at := len(b.buf)
	b.attr(kind|unix.NLA_F_NESTED, nil)
	return func() { binary.NativeEndian.PutUint16(b.buf[at:], uint16(len(b.buf)-at)) }
}

// value is an attribute of a value alone.
func (b *nftBatch) value(kind uint16, data []byte) {
	end := b.nest(kind)
	b.attr(unix.NFTA_DATA_VALUE, data)
	end()
}

func (b *nftBatch) addTable(t *nftables.Table) {
	b.message(nftType(unix.NFT_MSG_NEWTABLE), unix.NLM_F_CREATE, byte(t.Family), 0)
	b.text(unix.NFTA_TABLE_NAME, t.Name)
}

func (b *nftBatch) deleteTable(t *nftables.Table) {
	b.message(nftType(unix.NFT_MSG_DELTABLE), 0, byte(t.Family), 0)
	b.text(unix.NFTA_TABLE_NAME, t.Name)
}

// addSet makes a set or map and gives it the number by which the rules of the
// same batch know it.
func (b *nftBatch) addSet(s *nftables.Set) {
	s.ID = b.count
	var flags uint32
	for flag, on := range map[uint32]bool{unix.NFT_SET_INTERVAL: s.Interval, unix.NFT_SET_MAP: s.IsMap, nftables.NFT_SET_CONCAT: s.Concatenation} {
		if on {
			flags |= flag
		}
	}
	b.message(nftType(unix.NFT_MSG_NEWSET), unix.NLM_F_CREATE, byte(s.Table.Family), 0)
	b.text(unix.NFTA_SET_TABLE, s.Table.Name)
	b.text(unix.NFTA_SET_NAME, s.Name)
	b.number(unix.NFTA_SET_FLAGS, flags)
	b.number(unix.NFTA_SET_KEY_TYPE, s.KeyType.GetNFTMagic())
	b.number(unix.NFTA_SET_KEY_LEN, s.KeyType.Bytes)
	b.number(unix.NFTA_SET_ID, s.ID)
	if s.IsMap {
		b.number(unix.NFTA_SET_DATA_TYPE, s.DataType.GetNFTMagic())
		b.number(unix.NFTA_SET_DATA_LEN, s.DataType.Bytes)
	}
	if s.Concatenation {
		description := b.nest(unix.NFTA_SET_DESC)
		fields := b.nest(nftables.NFTA_SET_DESC_CONCAT)
		for _, field := range nftables.ConcatSetTypeElements(s.KeyType) {
			end := b.nest(unix.NFTA_LIST_ELEM)
			b.number(unix.NFTA_DATA_VALUE, field.Bytes)
			end()
		}
		fields()
		description()
	}
	if s.Interval {
		// For the program nft, which shows the bounds in the host's order without it.
		b.attr(unix.NFTA_SET_USERDATA, userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, 2))
	}
}

func (b *nftBatch) addChain(c *nftables.Chain) *nftables.Chain {
	b.message(nftType(unix.NFT_MSG_NEWCHAIN), unix.NLM_F_CREATE, byte(c.Table.Family), 0)
	b.text(unix.NFTA_CHAIN_TABLE, c.Table.Name)
	b.text(unix.NFTA_CHAIN_NAME, c.Name)
	if c.Hooknum != nil {
		hook := b.nest(unix.NFTA_CHAIN_HOOK)
		b.number(unix.NFTA_HOOK_HOOKNUM, uint32(*c.Hooknum))
		b.number(unix.NFTA_HOOK_PRIORITY, uint32(*c.Priority))
		hook()
		b.text(unix.NFTA_CHAIN_TYPE, string(c.Type))
	}
	return c
}

// addRule puts a rule at the end of its chain.
func (b *nftBatch) addRule(r *nftables.Rule) { b.rule(r, unix.NLM_F_APPEND) }

// insertRule puts a rule at the beginning of its chain.
func (b *nftBatch) insertRule(r *nftables.Rule) { b.rule(r, 0) }

func (b *nftBatch) rule(r *nftables.Rule, where uint16) {
	b.message(nftType(unix.NFT_MSG_NEWRULE), unix.NLM_F_CREATE|where, byte(r.Table.Family), 0)
	b.text(unix.NFTA_RULE_TABLE, r.Table.Name)
	b.text(unix.NFTA_RULE_CHAIN, r.Chain.Name)
	if r.UserData != nil {
		b.attr(unix.NFTA_RULE_USERDATA, r.UserData)
	}
	list := b.nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, e := range r.Exprs {
		data, err := expr.Marshal(byte(r.Table.Family), e)
		if err != nil && b.err == nil {
			b.err = fmt.Errorf("encode a rule: %w", err)
		}
		end := b.nest(unix.NFTA_LIST_ELEM)
		b.buf = append(b.buf, data...)
		end()
	}
	list()
}

func (b *nftBatch) deleteRule(r *nftables.Rule) {
	b.message(nftType(unix.NFT_MSG_DELRULE), 0, byte(r.Table.Family), 0)
	b.text(unix.NFTA_RULE_TABLE, r.Table.Name)
	b.text(unix.NFTA_RULE_CHAIN, r.Chain.Name)
	b.attr(unix.NFTA_RULE_HANDLE, binary.BigEndian.AppendUint64(nil, r.Handle))
}

// flushChain deletes all rules of a chain.
func (b *nftBatch) flushChain(c *nftables.Chain) {
	b.message(nftType(unix.NFT_MSG_DELRULE), 0, byte(c.Table.Family), 0)
	b.text(unix.NFTA_RULE_TABLE, c.Table.Name)
	b.text(unix.NFTA_RULE_CHAIN, c.Name)
}

func (b *nftBatch) addElements(s *nftables.Set, elements []nftables.SetElement) {
	b.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, s, elements)
}

func (b *nftBatch) deleteElements(s *nftables.Set, elements []nftables.SetElement) {
	b.elements(unix.NFT_MSG_DELSETELEM, 0, s, elements)
}

func (b *nftBatch) elements(message, flags uint16, s *nftables.Set, elements []nftables.SetElement) {
	b.message(nftType(message), flags, byte(s.Table.Family), 0)
	b.text(unix.NFTA_SET_ELEM_LIST_TABLE, s.Table.Name)
	b.text(unix.NFTA_SET_ELEM_LIST_SET, s.Name)
	list := b.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for _, e := range elements {
		end := b.nest(unix.NFTA_LIST_ELEM)
		if e.IntervalEnd {
			b.number(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
		}
		b.value(unix.NFTA_SET_ELEM_KEY, e.Key)
		if e.KeyEnd != nil {
			b.value(nftables.NFTA_SET_ELEM_KEY_END, e.KeyEnd)
		}
		if e.Val != nil {
			b.value(unix.NFTA_SET_ELEM_DATA, e.Val)
		}
		end()
	}
	list()
}
