package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
)

const authorityKey = "keys/ca.key"

// Key files lie sealed under the tenant key on every node, old clear ones from
// the next start on, and a version is destroyed only when no file needs it.
func TestSimDestroyWaitsForKeyFiles(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		ctx, n, stuck := c.t.Context(), c.nodes[0].Node, c.nodes[2]
		ca := filepath.Join(stuck.cfg.DataDir, authorityKey)
		read := func() []byte {
			b, err := os.ReadFile(ca)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		write := func(b []byte) {
			if err := os.WriteFile(ca, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// As a node of before has it.
		authority, err := stuck.dir.Authority(stuck.rings.Tenant.Keys)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := authority.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		c.off(stuck)
		write(pem)
		c.on(stuck)
		if bytes.Contains(read(), []byte("PRIVATE")) {
			t.Error("a clear CA key stays clear")
		}
		elsewhere := datadir.Dir(t.TempDir()).AuthorityKeys(stuck.rings.Tenant.Keys)
		right := stuck.rings.Authority.UseSource(elsewhere) // it is not sealed anew
		if _, err := n.keys.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		destroy := func() (err error) {
			c.until(time.Minute, "every account is rewrapped", func() bool {
				_, err = n.keys.Destroy(ctx)
				return err == nil || !strings.Contains(err.Error(), "still wrapped")
			})
			return err
		}
		if err := destroy(); !rookery.Is(err, rookery.KindConflict) || !strings.Contains(err.Error(), "node "+stuck.cfg.Name+" still has") {
			t.Errorf("the version was destroyed under which a node's CA key is sealed: %v", err)
		}
		st, err := n.keys.Status(ctx)
		if err != nil || !strings.Contains(strings.Join(st.Problems, "\n"), "node "+stuck.cfg.Name+" has its CA or settings key sealed under") {
			t.Errorf("the status says %q (%v)", st.Problems, err)
		}
		stuck.rings.Authority.UseSource(right)
		if err := destroy(); err != nil {
			t.Errorf("with the file back: %v", err)
		}
		for _, x := range c.nodes {
			if under, err := x.dir.SealedUnder(); under != 2 || err != nil {
				t.Errorf("%s has its files under %d (%v)", x.cfg.Name, under, err)
			}
		}
		// They open after a start too, and a further node gets them.
		c.off(stuck)
		c.on(stuck)
		if _, err := stuck.dir.Authority(stuck.rings.Tenant.Keys); err != nil {
			t.Error(err)
		}
		c.mustCheck()
	})
}
