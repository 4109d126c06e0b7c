package command

import (
	"reflect"
	"slices"
	"testing"

	"rookery"
)

// The numbers are dense and in order, and every command came with a version that
// this binary reads.
func TestTable(t *testing.T) {
	highest := uint32(0)
	for i, r := range Rows() {
		if r.Type != Type(i+1) {
			t.Errorf("command %s has number %d in row %d", r.Name, r.Type, i+1)
		}
		if r.Since == 0 || r.Since > newest {
			t.Errorf("command %s came with version %d, the newest is %d", r.Name, r.Since, newest)
		}
		if c := r.New(); TypeOf(c) != r.Type || NameOf(c) != r.Name {
			t.Errorf("row %d makes a %T", r.Type, c)
		}
		highest = max(highest, r.Since)
	}
	if highest != newest {
		t.Errorf("the newest command has version %d, newest is %d", highest, newest)
	}
}

// A command touches the accounts it names, and no kind but TouchAccounts goes
// with a name. What an item owes to other groups is not of this one.
func TestTouchesWhatIsNamed(t *testing.T) {
	for _, c := range samples() {
		named := map[rookery.AccountID]bool{}
		accountsIn(reflect.ValueOf(c), named)
		touch := c.Touches()
		if (touch.Kind == TouchAccounts) != (len(named) > 0) && NameOf(c) != "Deliver" {
			t.Errorf("%#v names %d accounts and has kind %d", c, len(named), touch.Kind)
		}
		if len(touch.Accounts) != len(named) {
			t.Errorf("%#v names %v and touches %v", c, named, touch.Accounts)
		}
		for id := range named {
			if !touch.Touches(id) {
				t.Errorf("%#v does not touch %s", c, id)
			}
		}
	}
	a, b := rookery.AccountID{1}, rookery.AccountID{2}
	got := (&Deliver{Deliveries: []Delivery{{Account: b}, {Account: a}, {Account: b}}}).Touches()
	if !slices.Equal(got.Accounts, []rookery.AccountID{a, b}) {
		t.Errorf("a delivery to three mailboxes of two accounts touches %v", got.Accounts)
	}
}

func accountsIn(v reflect.Value, to map[rookery.AccountID]bool) {
	switch {
	case v.Type() == reflect.TypeFor[rookery.AccountID]():
		to[v.Interface().(rookery.AccountID)] = true
	case v.Type() == reflect.TypeFor[*Item]():
	case v.Kind() == reflect.Pointer && !v.IsNil():
		accountsIn(v.Elem(), to)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				accountsIn(v.Field(i), to)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			accountsIn(v.Index(i), to)
		}
	}
}
