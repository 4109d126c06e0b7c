package system

import (
	"reflect"
	"testing"

	"rookery"
	"rookery/storage/command"
)

func TestAuthoritiesGoThroughTheirStatesInOrder(t *testing.T) {
	f := open(t)
	at := func(version uint32, state command.AuthorityState) *command.SetAuthority {
		return &command.SetAuthority{Version: version, Fingerprint: [16]byte{byte(version)}, Certificate: []byte{byte(version)}, State: state}
	}
	f.refused(rookery.KindInvalid, "certificate", &command.SetAuthority{Version: 1, Fingerprint: [16]byte{1}, State: command.AuthorityInUse})
	f.refused(rookery.KindConflict, "cannot go", at(1, command.AuthorityTrusted)) // none would be in use
	f.must(at(1, command.AuthorityInUse), at(1, command.AuthorityInUse))
	f.refused(rookery.KindConflict, "cannot go", at(1, command.AuthorityDropped))
	f.refused(rookery.KindConflict, "cannot go", at(2, command.AuthorityInUse)) // nobody trusts it yet
	f.must(at(2, command.AuthorityTrusted))
	f.refused(rookery.KindConflict, "under way", at(3, command.AuthorityTrusted))
	f.refused(rookery.KindConflict, "cannot go", at(1, command.AuthorityDropped))
	other := at(2, command.AuthorityInUse)
	other.Certificate = []byte("another")
	f.refused(rookery.KindConflict, "another authority", other)
	f.must(at(2, command.AuthorityInUse))
	if keys, err := f.m.AuthorityKeys(); len(keys) != 2 || InUse(keys).Version != 2 || keys[0].Destroyed != 0 || err != nil {
		t.Errorf("before the old one is dropped: %+v %v", keys, err)
	}
	f.must(at(1, command.AuthorityDropped))
	f.refused(rookery.KindConflict, "cannot go", at(1, command.AuthorityInUse))
	if keys, err := f.m.AuthorityKeys(); len(keys) != 2 || InUse(keys).Version != 2 || keys[0].Destroyed == 0 || err != nil {
		t.Errorf("after: %+v %v", keys, err)
	}
	f.must(at(3, command.AuthorityTrusted))
}

func TestKitsOfBeforeAreLeftOut(t *testing.T) {
	f := open(t)
	f.must(&command.NoteKit{Tenant: 2, Settings: 1, Authority: 1, Made: 10}, &command.NoteKit{Tenant: 1, Settings: 1, Authority: 1, Made: 20})
	if k, err := f.m.Kit(); !reflect.DeepEqual(k, Kit{Tenant: 2, Settings: 1, Authority: 1, Made: 10}) || err != nil {
		t.Errorf("%+v %v", k, err)
	}
	f.must(&command.NoteKit{Tenant: 2, Settings: 3, Authority: 1, Made: 30})
	if k, err := f.m.Kit(); !reflect.DeepEqual(k, Kit{Tenant: 2, Settings: 3, Authority: 1, Made: 30}) || err != nil {
		t.Errorf("%+v %v", k, err)
	}
}
