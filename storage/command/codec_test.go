package command

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/uidset"
)

func samples() []Command {
	since := rookery.ModSeq(7)
	acct := rookery.AccountID{1, 2}
	item := ItemID{9}
	stage := StageID{"n1", 3, 4}
	delivery := Delivery{Account: acct, Mailbox: 3, Flags: FlagSeen, Keywords: []string{"$Forwarded"}, InternalDate: 5,
		WrappedKey: []byte("k"), Threads: [][8]byte{{1}, {2}}, Strict: true, UIDL: "u"}
	return []Command{
		&CreateAccount{Account: acct, Key: []byte("key"), Quota: 1 << 40, Roles: DefaultRoles(), Validity: 1 << 31},
		&SetQuota{Account: acct, Quota: 5},
		&CreateMailbox{Account: acct, Name: "a/b", Role: `\Sent`, Validity: 9},
		&DeleteMailbox{Account: acct, Name: "a"},
		&RenameMailbox{Account: acct, From: "a", To: "b"},
		&Subscribe{Account: acct, Name: "a", On: true},
		&Deliver{Email: rookery.EmailID{4}, Deliveries: []Delivery{delivery}, Size: 12, Extract: []byte("x"), Layout: []byte("l"),
			Item: &Item{item, Message, []ItemRow{{ToGroup, 3, []Delivery{delivery}, nil}, {Kind: ToRemote, Recipient: []byte("r")}}, 7,
				[]byte("k"), []byte("e"), acct, 8, true, 9, 10, 11, 12, &Rate{1, 2}, false},
			FromItem: &item, Tells: &Tells{[]RowRef{{item, 1}}, true, [][]byte{{1}}}, Trace: &Trace{3, [][]byte{{2}}}, Payload: []byte("body")},
		&Deliver{Staged: &Staged{stage, 2}, Payload: []byte{}},
		&DropTrace{Before: 3, Most: 4},
		&LetSend{Account: acct},
		&Stage{Stage: stage, Part: 1, Payload: []byte("chunk")},
		&Abandon{Stage: stage, Epoch: true},
		&StoreFlags{Account: acct, Mailbox: 1, UIDs: uidset.New(1, 2, 9), Mode: StoreReplace, Flags: FlagsAll, Keywords: []string{"a"},
			UnchangedSince: &since},
		&StoreFlags{Account: acct, Mailbox: 1},
		&Expunge{Account: acct, Mailbox: 1, UIDs: uidset.Range(1, 0xffffffff), Force: true},
		&Expunge{Account: acct, Mailbox: 1, All: true},
		&Copy{Account: acct, From: 1, To: 2, UIDs: uidset.New(5)},
		&Move{Account: acct, From: 1, To: 2, UIDs: uidset.New(5)},
		&PurgeExpunged{Account: acct, Before: 1},
		&Recover{Account: acct, Messages: []ExpungedID{{1, 2}}, To: 1},
		&Packed{Pack: "01J", Size: 10, Bodies: []PackedBody{{1, 2, 3}}},
		&PackDead{Pack: "01J"}, &PackDeleted{Pack: "01J"}, &PackForget{Pack: "01J"},
		&ItemResult{item, 4}, &ItemForget{item}, &EraseAccount{acct}, &Archived{Upto: 7}, &Archived{End: true},
		&EnsureAccount{"ldap/1", acct, 3, "a", []string{"a@b"}, "cn=a"}, &NoteOwner{acct, "ldap/1", "a", []string{"a@b"}, "cn=a"},
		&NoteSignIns{[]SignIn{{acct, 7, "imap"}}},
		&LinkAccount{acct, "ldap/1", "a", []string{"a@b"}, rookery.AccountID{3}, "cn=a"}, &SetSettings{2, []byte("doc")},
		&RegisterNode{Node: "n", Name: "a", Address: "b", Version: 1},
		&ForgetAccount{acct},
		&Invite{"id", [32]byte{1}, 5}, &Revoke{"id"}, &SetNodeState{"n", NodeDraining}, &FinalizeVersion{3},
		&Admit{ID: "id", Hash: [32]byte{1}, Node: "n", Key: [32]byte{2}, Name: "a", Address: "h:1", Zone: "z", Version: 1},
		&CreateGroup{2, []rookery.NodeID{"a"}}, &PlaceGroup{2, []rookery.NodeID{"a", "b"}, 1}, &ConfirmGroup{2, 1, []rookery.NodeID{"a"}, true},
		&Jump{"r", 1, 2, 3, true, true}, &Recovered{1, "r", []RecoveredGroup{{2, "a", []rookery.NodeID{"a", "b"}}},
			[]RecoveredNode{{"a", "h:1", [32]byte{1}}}, true},
		&FoundGroup{7, "a"},
		&Hold{HoldRestore, "h", 5, 9, "why"}, &Release{HoldPin, "h"}, &RestoreWindow{5}, &NamePacks{6},
		&PlaceHold{Hold{HoldOperator, "h", 1, 0, ""}, 7}, &LiftHold{"h"}, &Swept{1, 2, 3},
		&AuditCall{"u", "n", "v", "a"}, &AuditOutcome{1, "done"},
		&SetDayKey{7, []byte("k")}, &RewrapDayKeys{[]RewrappedDay{{7, []byte("o"), []byte("n")}}}, &DropDayKeys{7},
		&BeginAttempts{Courier{"n", 1}, []RowRef{{item, 1}}, []Courier{{"n", 2}}, true},
		&EndAttempts{Courier{"n", 1}, []AttemptEnd{{RowRef{item, 1}, true, 5, []byte("l"), true, true}}},
		&SteerRows{RerouteRow, []RowRef{{item, 1}}, "h:25"},
		&KeyFloor{2}, &RewrapAccounts{[]Rewrapped{{acct, []byte("o"), []byte("n")}}},
		&BarAccount{acct},
		&SetTenantKey{2, [16]byte{1}, true}, &EraseAccounts{[]rookery.AccountID{acct}}, &AccountsErased{[]rookery.AccountID{acct}},
		&ForgetNode{"n"}, &ForgetMember{"n"},
		&AddRelay{"app", [32]byte{1}, []string{"@a.b"}, 5}, &RemoveRelay{"app"},
		&KeepSTS{"a.b", "1", 2, []string{"mx.a.b"}, 3},
		&SetSettingsKey{2, [16]byte{1}}, &SetSigningKeys{"a.b", 2, []SigningKey{{"s", 1, 2, 3, 4, "v=DKIM1", "sealed:1:x"}}},
		&SetAuthority{2, [16]byte{1}, []byte("der"), AuthorityInUse}, &NoteKit{1, 2, 3, 4, []byte("pub"), true},
		&BeginMove{acct, 3}, &SwitchMove{acct, 9}, &AbandonMove{acct, 9, "why"}, &EndMove{acct, 9},
		&MoveOut{acct, 9, 3}, &MoveCopied{acct, 9, 4, 5, []byte("c"), 6, []byte("u")}, &MoveFreeze{acct, 9, 4}, &MoveStop{acct, 9},
		&MoveGone{acct, 9},
		&ImportBegin{acct, 9, 4, 2, true}, &Import{acct, 9, 4, [][]byte{{1}},
			[]ImportRow{{[]byte("k"), []byte("v"), false}, {[]byte("l"), nil, true}}},
		&ImportBody{Account: acct, Move: 9, Turn: 4, Email: rookery.EmailID{4}, Record: []byte("r"), Size: 3, Extract: []byte("x"),
			Layout: []byte("l"), Arrived: 8, Payload: []byte("body")},
		&CopyPeople{"d", 2, true, []Person{{"d/1", []byte("v"), []string{"a:x@y"}, 3, true}}, []string{"d/2"}, []string{"d/3"}, true,
			[]byte("c")},
		&SettlePeople{"d", 4, true}, &DropPeople{"d"},
		&SetArchiveKeys{Version: 3, Keys: []ArchiveKey{{1, "s"}}},
		&BeginRestore{Account: acct, Job: RestoreID{1}, Spec: []byte("s"), By: "root"},
		&Restore{Account: acct, Job: RestoreID{1}, Source: 2, Target: 3, NoQuota: true, Payload: []byte("p"), Messages: []RestoredMessage{
			{SourceUID: 5, Email: rookery.EmailID{1}, Thread: rookery.ThreadID{2}, Tokens: [][8]byte{{3}}, Key: []byte("k"), Flags: FlagSeen,
				Keywords: []string{"$A"}, Size: 9, Date: 10, Saved: 11, UIDL: "u",
				Body: &RestoredBody{ID: 4, Encoded: 5, Layout: []byte("l"), Extract: []byte("x"), Arrived: 6, Pack: "p", Off: 7}}}},
		&EndRestore{Account: acct, Job: RestoreID{1}, Outcome: RestoreFailed, Text: "t"},
		&ImportBody{Staged: &Staged{stage, 2}, Record: []byte("r"), Payload: []byte{}},
		&ImportSeal{acct, 9, 4, []byte("r"), 5, [16]byte{1}}, &Activate{acct, 9}, &ImportDrop{acct, 9, 2},
	}
}

var compareUIDs = cmp.Comparer(func(a, b uidset.Set) bool { return a.Equal(b) })

func TestEveryCommandRoundTrips(t *testing.T) {
	seen := map[Type]bool{}
	for _, c := range samples() {
		seen[TypeOf(c)] = true
		b := Encode(c)
		got, off, err := Decode(b)
		if err != nil {
			t.Fatalf("%T: %v", c, err)
		}
		if d := cmp.Diff(c, got, compareUIDs); d != "" {
			t.Errorf("%T: %s", c, d)
		}
		if p, ok := c.(carrier); ok && string(b[off:]) != string(p.payload()) {
			t.Errorf("%T: payload at %d is %q", c, off, b[off:])
		}
	}
	for _, r := range Rows() {
		if !seen[r.Type] {
			t.Errorf("command %s has no sample", r.Name)
		}
	}
}

func TestEveryResultRoundTrips(t *testing.T) {
	seen := map[reflect.Type]bool{reflect.TypeFor[*Done](): true}
	for c, r := range map[Command]Result{
		&CreateAccount{}: &AccountResult{true},
		&CreateMailbox{}: &MailboxResult{1, 2, "x"},
		&Deliver{}: &DeliverResult{[]Filed{{OK: true, Mailbox: 1, UIDValidity: 2, UID: 3, ModSeq: 4},
			{Kind: rookery.KindOverQuota, Text: "full"}}, 9, 10, true},
		&StoreFlags{}:    &StoreResult{uidset.New(1), uidset.New(2, 3), 9},
		&Expunge{}:       &ExpungeResult{uidset.New(1, 3), 9, true},
		&Move{}:          &CopyResult{1, uidset.New(1), uidset.New(9), 3},
		&PurgeExpunged{}: &PurgeResult{1, true},
		&PackDead{}:      &Done{},
		&EnsureAccount{}: &EnsureResult{rookery.AccountID{1}, 2, true, rookery.AccountID{3}},
		&SetSettings{}:   &SettingsResult{4},
		&PlaceGroup{}:    &PlacementResult{4},
		&AuditCall{}:     &AuditResult{Call: 5},
		&BeginMove{}:     &BegunMove{Move: 9},
		&MoveOut{}:       &MoveOutResult{},
		&ImportBegin{}:   &ImportBegun{},
		&Restore{}:       &RestoreResult{Filed: 2, Skipped: 1},
		&Import{}:        &ImportResult{Lacking: []rookery.EmailID{{1}}},

		&RewrapAccounts{}: &RewrapResult{3},
		&SetDayKey{}:      &DayKeyResult{[]byte("k")},
		&SteerRows{}:      &RowsResult{[]bool{true, false}},
	} {
		seen[reflect.TypeOf(r)] = true
		got, err := DecodeResult(TypeOf(c), EncodeResult(r))
		if err != nil {
			t.Fatalf("%T: %v", r, err)
		}
		if d := cmp.Diff(r, got, compareUIDs); d != "" {
			t.Errorf("%T: %s", r, d)
		}
	}
	for _, r := range Rows() {
		if !seen[reflect.TypeOf(r.result())] {
			t.Errorf("the result of %s has no sample", r.Name)
		}
	}
}

func TestNamesAreNormalised(t *testing.T) {
	c, _, err := Decode(Encode(&CreateMailbox{Name: "Cafe\u0301"}))
	if err != nil || c.(*CreateMailbox).Name != "Café" {
		t.Fatalf("%#v %v", c, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range samples() {
		f.Add(Encode(c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, off, err := Decode(b)
		if err != nil {
			if !rookery.Is(err, rookery.KindInvalid) {
				t.Fatal(err)
			}
			return
		}
		if off > len(b) {
			t.Fatalf("payload at %d of %d", off, len(b))
		}
		again, _, err := Decode(Encode(c))
		if err != nil {
			t.Fatalf("%#v does not decode again: %v", c, err)
		}
		if d := cmp.Diff(Encode(c), Encode(again)); d != "" {
			t.Fatal(d)
		}
	})
}
