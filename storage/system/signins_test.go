package system

import (
	"strings"
	"testing"

	"rookery"
	"rookery/storage/command"
)

// The newest sign-in is kept, of accounts that are on the map, and goes with
// the account.
func TestLastSignIn(t *testing.T) {
	f := open(t)
	a, b := rookery.AccountID{1}, rookery.AccountID{2}
	must2(f.apply(&command.EnsureAccount{DirectoryKey: "d/1", Account: a, Group: 2, Login: "anna", DN: "uid=anna,dc=x"}))
	note := func(at int64, protocol string) {
		t.Helper()
		must2(f.apply(&command.NoteSignIns{SignIns: []command.SignIn{{Account: a, Time: at, Protocol: protocol}, {Account: b, Time: at}}}))
	}
	want := func(at int64, protocol string) {
		t.Helper()
		if s, err := f.m.LastSignIn(a); err != nil || s.Time != at || s.Protocol != protocol {
			t.Errorf("last sign-in %+v %v, want %d %s", s, err, at, protocol)
		}
	}
	want(0, "")
	note(1, "imap")
	want(1, "imap")
	note(1, "pop3")
	want(1, "imap")
	note(1<<62, "smtp")
	if s, err := f.m.LastSignIn(a); err != nil || s.Time >= 1<<62 || s.Protocol != "smtp" {
		t.Errorf("%+v %v: a sign-in of the far future", s, err)
	}
	if s, err := f.m.LastSignIn(b); err != nil || s != (SignIn{}) {
		t.Errorf("%+v %v: an account that nobody has", s, err)
	}
	for _, bad := range []*command.NoteSignIns{
		{SignIns: make([]command.SignIn, command.MaxSignIns+1)},
		{SignIns: []command.SignIn{{Account: a, Protocol: strings.Repeat("x", command.MaxSignInProtocol+1)}}},
	} {
		if _, err := f.apply(bad); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%d sign-ins: %v", len(bad.SignIns), err)
		}
	}
	if o, err := f.m.Owner(a); err != nil || o.DN != "uid=anna,dc=x" {
		t.Errorf("owner %+v %v", o, err)
	}
	must2(f.apply(&command.ForgetAccount{Account: a}))
	want(0, "")
}
