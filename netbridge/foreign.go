package netbridge

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// passForeign puts the rules where they are needed and not yet present.
func (f *firewall) passForeign() error {
	c, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	chains, err := c.ListChains()
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	for _, ch := range chains {
		if !f.dropsForwarded(ch) {
			continue
		}
		rules, err := c.GetRules(ch.Table, ch)
		if err != nil {
			continue // gone meanwhile
		}
		if f.ownRules(rules) != nil {
			continue
		}
		for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
			c.InsertRule(&nftables.Rule{
				Table: ch.Table, Chain: ch,
				UserData: userdata.AppendString(nil, userdata.TypeComment, f.table),
				Exprs: exprs{
					meta(key, reg), &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte(f.bridges)},
					&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept},
				},
			})
		}
		if err := f.flush(c); err != nil {
			return fmt.Errorf("let our networks through chain %s of nftables table %s: %w", ch.Name, ch.Table.Name, err)
		}
	}
	return f.passLegacy()
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

func (f *firewall) ownRules(rules []*nftables.Rule) (own []*nftables.Rule) {
	tag := userdata.AppendString(nil, userdata.TypeComment, f.table)
	for _, r := range rules {
		if bytes.Equal(r.UserData, tag) {
			own = append(own, r)
		}
	}
	return own
}

// withdrawForeign removes the rules from wherever they are.
func (f *firewall) withdrawForeign() error {
	c, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	chains, err := c.ListChains()
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	for _, ch := range chains {
		if ch.Table.Name == f.table || (ch.Hooknum == nil && ch.Name != "DOCKER-USER") {
			continue
		}
		rules, err := c.GetRules(ch.Table, ch)
		if err != nil {
			continue
		}
		own := f.ownRules(rules)
		for _, r := range own {
			if err := c.DelRule(r); err != nil {
				return err
			}
		}
		if len(own) == 0 {
			continue
		}
		if err := f.flush(c); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove our rules from chain %s of nftables table %s: %w", ch.Name, ch.Table.Name, err)
		}
		if f.conn == nil {
			break
		}
	}
	return f.withdrawLegacy()
}

// The same for the iptables of old, which nftables does not see. Its own
// program is the only sane way to change its tables; it is run only where the
// kernel says that somebody has filter rules there.

func (f *firewall) passLegacy() error {
	return f.legacy(func(run func(args ...string) (string, error)) error {
		for _, chain := range []string{"DOCKER-USER", "FORWARD"} {
			rules, err := run("-S", chain)
			if err != nil || strings.Contains(rules, f.table) || (chain == "FORWARD" && !strings.Contains(rules, "-P FORWARD DROP")) {
				continue
			}
			for _, direction := range []string{"-i", "-o"} {
				out, err := run(append([]string{"-I", chain}, f.legacyRule(direction)...)...)
				if err != nil {
					return fmt.Errorf("let our networks through iptables' chain %s: %w: %s", chain, err, strings.TrimSpace(out))
				}
			}
		}
		return nil
	})
}

func (f *firewall) withdrawLegacy() error {
	return f.legacy(func(run func(args ...string) (string, error)) error {
		for _, chain := range []string{"DOCKER-USER", "FORWARD"} {
			for _, direction := range []string{"-i", "-o"} {
				for range 8 { // until there is none left
					if _, err := run(append([]string{"-D", chain}, f.legacyRule(direction)...)...); err != nil {
						break
					}
				}
			}
		}
		return nil
	})
}

func (f *firewall) legacyRule(direction string) []string {
	return []string{direction, f.bridges + "+", "-m", "comment", "--comment", f.table, "-j", "ACCEPT"}
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
