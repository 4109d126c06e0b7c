package system

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

func TestRelayCredentialsComeAndGo(t *testing.T) {
	f := open(t)
	f.must(&command.AddRelay{Name: "scanner", Hash: [32]byte{1}, Senders: []string{"scan@example.com"}, Rate: 100},
		&command.AddRelay{Name: "app", Hash: [32]byte{2}})
	f.refused(rookery.KindExists, "remove it first", &command.AddRelay{Name: "app", Hash: [32]byte{3}})
	f.refused(rookery.KindNotFound, "no relay credential", &command.RemoveRelay{Name: "ap"})
	f.refused(rookery.KindInvalid, "want 1 to 32", &command.AddRelay{})
	f.refused(rookery.KindLimit, "at most 100", &command.AddRelay{Name: "x", Senders: make([]string, 101)})
	all, err := f.m.RelayCredentials()
	if err != nil || len(all) != 2 || all[0].Name != "app" || all[1].Name != "scanner" {
		t.Fatalf("%+v %v", all, err)
	}
	got, found, err := f.m.RelayCredential("scanner")
	want := RelayCredential{Name: "scanner", Hash: [32]byte{1}, Senders: []string{"scan@example.com"}, Rate: 100, Made: got.Made}
	if d := cmp.Diff(want, got); d != "" || !found || err != nil {
		t.Error(d, found, err)
	}
	f.must(&command.RemoveRelay{Name: "scanner"})
	for _, name := range []string{"scanner", "", "app2"} {
		if _, found, err := f.m.RelayCredential(name); found || err != nil {
			t.Errorf("%q: %v %v", name, found, err)
		}
	}
}
