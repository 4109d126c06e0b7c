package settings

import (
	"strings"
	"testing"
)

// TestSettingsMakeNoOpenRelay: what would let strangers relay is refused, and lets
// nobody in where it is in force all the same.
func TestSettingsMakeNoOpenRelay(t *testing.T) {
	for key, bad := range map[string]Relay{
		"relay.networks":     {Networks: []string{"0.0.0.0/0", "::/0", "0.0.0.0/1", "::ffff:0:0/96", "anywhere"}},
		"relay.certificates": {Certificates: []string{"ab", ""}},
		"relay.senders":      {Senders: []string{"@", "nobody"}},
	} {
		s := Default()
		s.Domains, s.Relay = []string{"example.com"}, bad
		err := s.Validate(nil)
		if n := strings.Count(err.Error(), key); err == nil || n != len(bad.Networks)+len(bad.Certificates)+len(bad.Senders) {
			t.Errorf("%s: %d of all are refused: %v", key, n, err)
		}
		if r := bad.Rules(); len(r.Networks)+len(r.Certificates)+len(r.Senders) > 0 {
			t.Errorf("%s: %+v", key, r)
		}
	}
}
