package system

import (
	"testing"

	"rookery"
	"rookery/storage/command"
)

func TestSettingsKeyOnlyRises(t *testing.T) {
	f := open(t)
	if keys, err := f.m.SettingsKeys(); len(keys) != 0 || err != nil {
		t.Fatal(keys, err)
	}
	a, b := [16]byte{1}, [16]byte{2}
	f.must(&command.SetSettingsKey{Version: 2, Fingerprint: a}, &command.SetSettingsKey{Version: 2, Fingerprint: a})
	f.refused(rookery.KindConflict, "came into use", &command.SetSettingsKey{Version: 2, Fingerprint: b})
	f.refused(rookery.KindConflict, "came into use", &command.SetSettingsKey{Version: 1, Fingerprint: b})
	f.refused(rookery.KindInvalid, "fingerprint", &command.SetSettingsKey{Version: 3})
	f.must(&command.SetSettingsKey{Version: 4, Fingerprint: b})
	keys, err := f.m.SettingsKeys()
	if err != nil || len(keys) != 1 || keys[0].Version != 4 || keys[0].Fingerprint != b || keys[0].Since == 0 {
		t.Fatal(keys, err)
	}
}
