package scenario

import (
	"crypto/x509"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// An operator changes the CA of three nodes with one command: each shows a
// certificate by the new one, none trusts the old, mail goes on, and the status
// asks for a new recovery kit until there is one.
func TestAuthorityIsRotated(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node2"}
	o.until(time.Minute, "the cluster is whole", status.wholeOfAll)
	old := shown(t, d, "node1")
	out, code := o.run("ca", "rotate", "--json")
	var st struct {
		Version uint32   `json:"version"`
		Stage   string   `json:"stage"`
		Waits   []string `json:"waits_for"`
	}
	if err := json.Unmarshal([]byte(out), &st); code != 0 || err != nil || st.Version != 2 || st.Stage != "" || len(st.Waits) > 0 {
		t.Fatalf("exit code %d: %s (%v)", code, out, err)
	}
	for k, name := range []string{"node1", "node2", "node3"} {
		roots := readPEM(t, filepath.Join(d.Dir, name, "identity", "ca.pem")) // the first, and the only one
		ca, err := x509.ParseCertificate(roots)
		must(t, err)
		c := shown(t, d, name)
		if c == nil || c.CheckSignatureFrom(ca) != nil {
			t.Errorf("%s shows no certificate by the new CA", name)
		}
		if old.CheckSignatureFrom(ca) == nil {
			t.Errorf("%s still trusts the old CA", name)
		}
		if err := useMailbox(t, d, d.Facts.Nodes[k], d.Facts.Nodes[(k+1)%3], d.Facts.Users[0]); err != nil {
			t.Errorf("%s does not serve: %v", name, err)
		}
	}
	stale := func(s status) bool {
		return strings.Contains(strings.Join(s.Problems, " "), "lacks the cluster CA's key 2")
	}
	o.until(time.Minute, "the status asks for a new kit", stale)
	if out, code := o.run("key", "kit", filepath.Join(t.TempDir(), "kit.json")); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	o.until(time.Minute, "the new kit counts", func(s status) bool { return !stale(s) })
}
