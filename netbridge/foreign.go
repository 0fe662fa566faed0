package netbridge

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Other programs' chains on the way of forwarded packets may drop what ours
// lets pass: Docker, ufw and many an administrator set the policy of FORWARD
// to drop, and an accept in one table does not overrule a drop in another.
// Into each such chain go two rules of ours that accept whatever comes from or
// goes to our bridges (our own chain, which runs before, has already dropped
// what must not pass). They go with the root's last network.

// A passage is a pair of such rules: one for the bridges that we name, one for
// each bridge that the user has named.
type passage struct {
	tag  string // the rules' comment
	name string // of the bridge, or what the names begin with
	all  bool
}

func (f *firewall) passage(n *Network) passage {
	if strings.HasPrefix(n.Bridge, f.bridges) {
		return passage{f.table, f.bridges, true}
	}
	return passage{f.table + " " + n.Bridge, n.Bridge, false}
}

// pattern matches the passage's interfaces in nftables.
func (p passage) pattern() []byte {
	if p.all {
		return []byte(p.name)
	}
	return ifname(p.name)
}

// passForeign puts the rules where a network needs them and they are not.
func (f *firewall) passForeign(n *Network) error {
	p := f.passage(n)
	nft, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	chains, err := nft.chains()
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	for _, ch := range chains {
		if !f.dropsForwarded(ch) {
			continue
		}
		rules, err := nft.rules(ch)
		if err != nil {
			continue // gone meanwhile
		}
		if ownRules(rules, func(tag string) bool { return tag == p.tag }) != nil {
			continue
		}
		b := newBatch()
		for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
			b.insertRule(&nftables.Rule{
				Table: ch.Table, Chain: ch,
				UserData: userdata.AppendString(nil, userdata.TypeComment, p.tag),
				Exprs: exprs{
					meta(key, reg), &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: p.pattern()},
					&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept},
				},
			})
		}
		if err := f.commit(b); err != nil {
			return fmt.Errorf("let our networks through chain %s of nftables table %s: %w", ch.Name, ch.Table.Name, err)
		}
	}
	return f.passLegacy(p)
}

// dropsForwarded tells a chain of another program that may drop our packets.
func (f *firewall) dropsForwarded(ch *nftables.Chain) bool {
	if ch.Table.Name == f.table {
		return false
	}
	switch ch.Table.Family {
	case nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet:
	default:
		return false
	}
	if ch.Name == "DOCKER-USER" && ch.Table.Name == "filter" {
		return true
	}
	forward := ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward && ch.Type == nftables.ChainTypeFilter
	if !forward {
		return false
	}
	// firewalld's ends in a reject.
	return (ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop) || (ch.Table.Name == "firewalld" && ch.Name == "filter_FORWARD")
}

func ownRules(rules []*nftables.Rule, ours func(tag string) bool) (own []*nftables.Rule) {
	for _, r := range rules {
		if tag, ok := userdata.GetString(r.UserData, userdata.TypeComment); ok && ours(tag) {
			own = append(own, r)
		}
	}
	return own
}

// withdrawForeign removes the rules from wherever they are: those that only
// this network needs, or, for nil, all.
func (f *firewall) withdrawForeign(n *Network) error {
	ours := func(tag string) bool { return tag == f.table || strings.HasPrefix(tag, f.table+" ") }
	only := passage{}
	if n != nil {
		if only = f.passage(n); only.all {
			return nil
		}
		ours = func(tag string) bool { return tag == only.tag }
	}
	nft, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	chains, err := nft.chains()
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	for _, ch := range chains {
		if ch.Table.Name == f.table || (ch.Hooknum == nil && ch.Name != "DOCKER-USER") {
			continue
		}
		rules, err := nft.rules(ch)
		if err != nil {
			continue
		}
		own := ownRules(rules, ours)
		if len(own) == 0 {
			continue
		}
		b := newBatch()
		for _, r := range own {
			b.deleteRule(r)
		}
		if err := f.commit(b); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove our rules from chain %s of nftables table %s: %w", ch.Name, ch.Table.Name, err)
		}
		if f.nft == nil {
			break
		}
	}
	return f.withdrawLegacy(ours)
}

// The same for the iptables of old, which nftables does not see. Its own
// program is the only sane way to change its tables; it is run only where the
// kernel says that somebody has filter rules there.

func (f *firewall) passLegacy(p passage) error {
	return f.legacy(func(run func(args ...string) (string, error)) error {
		for _, chain := range []string{"DOCKER-USER", "FORWARD"} {
			rules, err := run("-S", chain)
			if err != nil || strings.Contains(strings.ReplaceAll(rules, `"`, ""), "--comment "+p.comment()+" ") || (chain == "FORWARD" && !strings.Contains(rules, "-P FORWARD DROP")) {
				continue
			}
			for _, direction := range []string{"-i", "-o"} {
				out, err := run(append([]string{"-I", chain}, p.legacyRule(direction)...)...)
				if err != nil {
					return fmt.Errorf("let our networks through iptables' chain %s: %w: %s", chain, err, strings.TrimSpace(out))
				}
			}
		}
		return nil
	})
}

// withdrawLegacy deletes the rules as iptables-save writes them.
func (f *firewall) withdrawLegacy(ours func(tag string) bool) error {
	return f.legacy(func(run func(args ...string) (string, error)) error {
		for _, chain := range []string{"DOCKER-USER", "FORWARD"} {
			rules, _ := run("-S", chain)
			for line := range strings.Lines(rules) {
				p, ok := f.parseLegacy(strings.TrimSpace(line))
				if !ok || !ours(p.tag) {
					continue
				}
				for _, direction := range []string{"-i", "-o"} {
					_, _ = run(append([]string{"-D", chain}, p.legacyRule(direction)...)...)
				}
			}
		}
		return nil
	})
}

// comment is the passage's tag as iptables takes it, with no space in it.
func (p passage) comment() string { return strings.ReplaceAll(p.tag, " ", "/") }

func (p passage) legacyRule(direction string) []string {
	name := p.name
	if p.all {
		name += "+"
	}
	return []string{direction, name, "-m", "comment", "--comment", p.comment(), "-j", "ACCEPT"}
}

// parseLegacy finds the passage that a rule of iptables' belongs to.
func (f *firewall) parseLegacy(rule string) (passage, bool) {
	fields := strings.Fields(rule)
	at := slices.Index(fields, "--comment")
	if at < 0 || at+1 >= len(fields) {
		return passage{}, false
	}
	switch table, bridge, named := strings.Cut(strings.Trim(fields[at+1], `"`), "/"); {
	case table != f.table:
		return passage{}, false
	case named:
		return passage{f.table + " " + bridge, bridge, false}, true
	default:
		return passage{f.table, f.bridges, true}, true
	}
}

// legacy calls fn for each family whose old filter table is in use.
func (f *firewall) legacy(fn func(run func(args ...string) (string, error)) error) error {
	return f.host.run(func() error {
		for program, names := range map[string]string{"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names"} {
			tables, err := os.ReadFile("/proc/thread-self/net/" + names)
			if err != nil || !strings.Contains(string(tables), "filter") {
				continue
			}
			path, err := exec.LookPath(program)
			if err != nil {
				continue
			}
			err = fn(func(args ...string) (string, error) {
				out, err := exec.Command(path, append([]string{"-w"}, args...)...).CombinedOutput()
				return string(out), err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
