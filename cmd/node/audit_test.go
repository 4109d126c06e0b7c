package node

import (
	"fmt"
	"os/user"
	"slices"
	"strings"
	"testing"

	"rookery/cmd/node/adminapi"
)

func TestAuditOfANode(t *testing.T) {
	_, cfg, _ := oneNode(t)
	if err := change(t, cfg, "limits.message_size", "1000000"); err != nil {
		t.Fatal(err)
	}
	admin := adminapi.New(cfg.Admin)
	if err := admin.SetNode(t.Context(), "nosuch", "drain"); err == nil {
		t.Fatal("a node that does not exist is drained")
	}
	me, err := user.Current()
	if err != nil {
		t.Skip("this user has no name")
	}
	list := func(q adminapi.AuditQuery) (said []string) {
		t.Helper()
		err := admin.Audit(t.Context(), q, func(x adminapi.AuditedCall) error {
			outcome, _, _ := strings.Cut(x.Outcome, ":")
			said = append(said, fmt.Sprintf("%d %s %s %s %s %s", x.Call, x.User, x.Node, x.Verb, x.Args, outcome))
			if x.Verb == "config set" && !strings.Contains(x.Outcome, "limits.message_size") {
				t.Errorf("the outcome %q does not say what was changed", x.Outcome)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	first := fmt.Sprintf(`1 %s %s config set {"version":1} done`, me.Username, cfg.Name)
	second := fmt.Sprintf(`2 %s %s drain nosuch failed`, me.Username, cfg.Name)
	if got := list(adminapi.AuditQuery{}); !slices.Equal(got, []string{first, second}) {
		t.Errorf("%q", got)
	}
	if got := list(adminapi.AuditQuery{Who: me.Username, Verb: "drain"}); !slices.Equal(got, []string{second}) {
		t.Errorf("of a verb: %q", got)
	}
	if got := list(adminapi.AuditQuery{Who: "somebody else"}); len(got) > 0 {
		t.Errorf("of another: %q", got)
	}
}
