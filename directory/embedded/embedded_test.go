package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"rookery"
)

func open(t testing.TB, opts Options) *Server {
	t.Helper()
	if opts.AdminPassword == "" {
		opts.AdminPassword = "adminpw"
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t testing.TB, s *Server, dn, password string) *goldap.Conn {
	t.Helper()
	c, err := goldap.DialURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if dn != "" {
		if err := c.Bind(dn, password); err != nil {
			t.Fatalf("bind %s: %v", dn, err)
		}
	}
	return c
}

func filled(t testing.TB) *Server {
	s := open(t, Options{})
	err := s.AddUser(
		User{UID: "alice", Name: "Alice Ångström", Password: "secret", Mail: "alice@example.test",
			Aliases: []string{"a.smith@example.test"}, Quota: 1 << 30,
			Extra: map[string][]string{"uidNumber": {"1000"}, "description": {"first  of   many", "(x*y)\\z"}}},
		User{UID: "bob", Name: "Bob Test", Password: "secret", Mail: "bob@example.test", Disabled: true,
			Extra: map[string][]string{"uidNumber": {"200"}, "userAccountControl": {"514"}}},
		User{UID: "carol", Name: "Carol", Mail: "carol@example.test"},
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func uids(t testing.TB, c *goldap.Conn, base, filter string, scope int) string {
	t.Helper()
	r, err := c.Search(goldap.NewSearchRequest(base, scope, 0, 0, 0, false, filter, []string{"uid"}, nil))
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	var names []string
	for _, e := range r.Entries {
		names = append(names, e.GetAttributeValue("uid"))
	}
	return strings.Join(names, " ")
}

func TestFilters(t *testing.T) {
	s := filled(t)
	c := dial(t, s, s.AdminDN(), "adminpw")
	for filter, want := range map[string]string{
		"(uid=alice)":               "alice",
		"(UID=ALICE)":               "alice",
		"(uid=*)":                   "alice bob carol",
		"(mail=Alice@Example.TEST)": "alice",
		"(|(uid=bob)(mailAlternateAddress=a.smith@*))":       "alice bob",
		"(&(uid=*)(!(uid=bob)))":                             "alice carol",
		"(&(objectClass=inetOrgPerson)(!(accountStatus=*)))": "alice carol",
		"(uidNumber>=1000)":                                  "alice",
		"(uidNumber<=999)":                                   "bob",
		"(uidNumber=0200)":                                   "bob",
		"(cn=*ngstr*)":                                       "alice",
		"(cn=alice å*)":                                      "alice",
		"(cn=a*i*e*)":                                        "alice",
		"(cn=*rol)":                                          "carol",
		"(cn~=carol!)":                                       "carol",
		"(description=first of many)":                        "alice",
		`(description=\28x\2ay\29\5cz)`:                      "alice",
		"(userAccountControl:1.2.840.113556.1.4.803:=2)":     "bob",
		"(userAccountControl:1.2.840.113556.1.4.803:=16)":    "",
		"(uid:caseExactMatch:=Alice)":                        "",
		"(uid:2.5.13.2:=Alice)":                              "alice",
		"(uid:9.9.9:=alice)":                                 "",
		"(!(uid:9.9.9:=alice))":                              "",
		"(:dn:2.5.13.2:=bob)":                                "bob",
		"(&)":                                                "  alice bob carol",
		"(|)":                                                "",
		"(nothing=x)":                                        "",
	} {
		if got := uids(t, c, s.Base(), filter, goldap.ScopeWholeSubtree); got != want {
			t.Errorf("%s found %q, want %q", filter, got, want)
		}
	}
	if got := uids(t, c, "ou=People, dc=Example,dc=test", "(uid=*)", goldap.ScopeSingleLevel); got != "alice bob carol" {
		t.Errorf("one level below ou=people: %q", got)
	}
	if got := uids(t, c, s.Base(), "(uid=*)", goldap.ScopeSingleLevel); got != "" {
		t.Errorf("one level below the base: %q", got)
	}
	if got := uids(t, c, s.UserDN("bob"), "(objectClass=*)", goldap.ScopeBaseObject); got != "bob" {
		t.Errorf("base scope: %q", got)
	}
}

func TestPasswordsAreHidden(t *testing.T) {
	s := filled(t)
	c := dial(t, s, s.UserDN("alice"), "secret")
	for _, f := range []string{"(userPassword=*)", "(!(userPassword=*))", "(userPassword={ARGON2}*)", "(:caseExactMatch:=secret)"} {
		if got := uids(t, c, s.Base(), f, goldap.ScopeWholeSubtree); got != "" {
			t.Errorf("%s found %q for a plain user", f, got)
		}
	}
	r, err := c.Search(goldap.NewSearchRequest(s.UserDN("alice"), 0, 0, 0, 0, false, "(objectClass=*)", []string{"*", "+"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Entries[0].GetAttributeValues("userPassword"); len(v) != 0 {
		t.Error("a user reads password hashes")
	}
	if r.Entries[0].GetAttributeValue("entryUUID") == "" {
		t.Error("+ gives no entryUUID")
	}
}

func TestAttributeSelection(t *testing.T) {
	s := filled(t)
	c := dial(t, s, s.AdminDN(), "adminpw")
	names := func(attrs ...string) []string {
		r, err := c.Search(goldap.NewSearchRequest(s.UserDN("carol"), 0, 0, 0, 0, false, "(objectClass=*)", attrs, nil))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range r.Entries[0].Attributes {
			got = append(got, a.Name)
		}
		return got
	}
	for want, attrs := range map[string][]string{
		"":                            {"1.1"},
		"mail":                        {"MAIL"},
		"entryUUID":                   {"entryuuid"},
		"objectClass cn mail sn uid":  {},
		"objectClass cn mail sn uid ": {"*"},
		"objectClass cn createTimestamp entryUUID mail modifyTimestamp sn uid entryDN": {"*", "+"},
	} {
		if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(names(attrs...), " ")); diff != "" {
			t.Errorf("%q: %s", attrs, diff)
		}
	}
}

func TestBindAndRights(t *testing.T) {
	s := filled(t)
	anonymous := dial(t, s, "", "")
	if _, err := anonymous.Search(goldap.NewSearchRequest(s.Base(), 2, 0, 0, 0, false, "(uid=*)", nil,
		nil)); !goldap.IsErrorWithCode(err, goldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("anonymous search: %v", err)
	}
	r, err := anonymous.Search(goldap.NewSearchRequest("", 0, 0, 0, 0, false, "(objectClass=*)", []string{"namingContexts"}, nil))
	if err != nil || r.Entries[0].GetAttributeValue("namingContexts") != s.Base() {
		t.Errorf("rootDSE: %v", err)
	}
	for _, dn := range []string{s.UserDN("alice"), s.UserDN("carol"), s.UserDN("nobody"), s.AdminDN()} {
		if err := anonymous.Bind(dn, "wrong"); !goldap.IsErrorWithCode(err, goldap.LDAPResultInvalidCredentials) {
			t.Errorf("bind %s with a wrong password: %v", dn, err)
		}
	}
	if err := anonymous.UnauthenticatedBind(s.UserDN("alice")); !goldap.IsErrorWithCode(err, goldap.LDAPResultUnwillingToPerform) {
		t.Errorf("bind without password: %v", err)
	}
	alice := dial(t, s, s.UserDN("alice"), "secret")
	mod := goldap.NewModifyRequest(s.UserDN("alice"), nil)
	mod.Replace("mail", []string{"ceo@example.test"})
	if err := alice.Modify(mod); !goldap.IsErrorWithCode(err, goldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("alice changes her mail: %v", err)
	}
	pw := goldap.NewModifyRequest(s.UserDN("alice"), nil)
	pw.Delete("userPassword", []string{"secret"})
	pw.Add("userPassword", []string{"better secret"})
	if err := alice.Modify(pw); err != nil {
		t.Fatal(err)
	}
	dial(t, s, s.UserDN("alice"), "better secret")
	if err := anonymous.Bind(s.UserDN("alice"), "secret"); err == nil {
		t.Error("the old password is still good")
	}
	if _, err := alice.PasswordModify(goldap.NewPasswordModifyRequest("", "better secret", "third")); err != nil {
		t.Errorf("RFC 3062: %v", err)
	}
	dial(t, s, s.UserDN("alice"), "third")
	if _, err := alice.PasswordModify(goldap.NewPasswordModifyRequest(s.UserDN("bob"), "secret", "third")); err == nil {
		t.Error("alice changes bob's password")
	}
	admin := dial(t, s, s.AdminDN(), "adminpw")
	made, err := admin.PasswordModify(goldap.NewPasswordModifyRequest(s.UserDN("carol"), "", ""))
	if err != nil || made.GeneratedPassword == "" {
		t.Fatalf("a made-up password: %v", err)
	}
	dial(t, s, s.UserDN("carol"), made.GeneratedPassword)
	if who, err := alice.WhoAmI(nil); err != nil || who.AuthzID != "dn:"+s.UserDN("alice") {
		t.Errorf("who am I: %v %v", who, err)
	}
	if same, err := alice.Compare(s.UserDN("alice"), "mail", "ALICE@example.test"); err != nil || !same {
		t.Errorf("compare: %v %v", same, err)
	}
}

func TestPagingAndLimits(t *testing.T) {
	s := open(t, Options{SizeLimit: 100})
	var users []User
	for i := range 250 {
		users = append(users, User{UID: fmt.Sprintf("u%03d", i), Mail: fmt.Sprintf("u%d@example.test", i)})
	}
	if err := s.AddUser(users...); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, s.AdminDN(), "adminpw")
	req := goldap.NewSearchRequest(s.Base(), 2, 0, 0, 0, false, "(uid=*)", nil, nil)
	r, err := c.Search(req)
	if !goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded) || len(r.Entries) != 100 {
		t.Errorf("unpaged: %d entries, %v", len(r.Entries), err)
	}
	r, err = c.SearchWithPaging(req, 60)
	if err != nil || len(r.Entries) != 250 {
		t.Errorf("paged: %d entries, %v", len(r.Entries), err)
	}
	req = goldap.NewSearchRequest(s.Base(), 2, 0, 7, 0, false, "(uid=*)", nil, nil)
	if r, err = c.Search(req); !goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded) || len(r.Entries) != 7 {
		t.Errorf("client's limit: %d entries, %v", len(r.Entries), err)
	}
}

func TestFileKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.ldif")
	s := open(t, Options{Path: path})
	odd := " begins with a blank, ümlaut\nand a line break, " + strings.Repeat("long ", 100)
	if err := s.AddUser(User{UID: "dörte, the+first", Password: "secret", Mail: "d@example.test",
		Extra: map[string][]string{"description": {odd}, "jpegPhoto": {"\xff\x00\xfe"}}}); err != nil {
		t.Fatal(err)
	}
	svc, err := s.AddService("mail", "svc")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddUser(User{UID: "twin", Mail: "D@Example.test"}); !rookery.Is(err, rookery.KindExists) {
		t.Errorf("an address twice: %v", err)
	}
	c := dial(t, s, s.AdminDN(), "adminpw")
	add := goldap.NewAddRequest("uid=eve,ou=people,dc=example,dc=test", nil)
	add.Attribute("objectClass", []string{"inetOrgPerson"})
	add.Attribute("userPassword", []string{"plain text"})
	if err := c.Add(add); err != nil {
		t.Fatal(err)
	}
	if err := c.Del(goldap.NewDelRequest("ou=people,dc=example,dc=test", nil)); !goldap.IsErrorWithCode(err,
		goldap.LDAPResultNotAllowedOnNonLeaf) {
		t.Errorf("deleting a branch: %v", err)
	}
	before := dump(s)
	s.Close()
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), "plain text") || strings.Contains(string(raw), "secret") {
		t.Errorf("the file shows a password (%v)", err)
	}
	s = open(t, Options{Path: path})
	if diff := cmp.Diff(before, dump(s)); diff != "" {
		t.Error(diff)
	}
	c = dial(t, s, svc, "svc")
	if err := c.Bind(s.UserDN("dörte, the+first"), "secret"); err != nil {
		t.Error(err)
	}
	if err := c.Bind("uid=eve,ou=people,dc=example,dc=test", "plain text"); err != nil {
		t.Error(err)
	}
	if err := s.DeleteUser("eve"); err != nil || s.HasUser("eve") {
		t.Error("eve stays", err)
	}
}

func dump(s *Server) map[string]map[string][]string {
	all := map[string]map[string][]string{}
	for _, e := range s.tree.order {
		m := map[string][]string{}
		for k, a := range e.attrs {
			m[k] = a.values
		}
		all[e.dn.text] = m
	}
	return all
}

func TestUnwritableFileChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "directory.ldif")
	os.Mkdir(filepath.Join(dir, "sub"), 0o700)
	s := open(t, Options{Path: path})
	if err := s.AddUser(User{UID: "alice", Password: "secret", Mail: "alice@example.test"}); err != nil {
		t.Fatal(err)
	}
	before := dump(s)
	os.RemoveAll(filepath.Join(dir, "sub"))
	if err := s.AddUser(User{UID: "bob", Mail: "bob@example.test"}); err == nil {
		t.Fatal("a change without a disk succeeds")
	}
	if diff := cmp.Diff(before, dump(s)); diff != "" {
		t.Error(diff)
	}
	if err := s.AddUser(User{UID: "bob", Mail: "bob@example.test"}); rookery.Is(err, rookery.KindExists) {
		t.Error("the refused change left its address behind")
	}
}

func TestOptionsNameTheMend(t *testing.T) {
	for want, o := range map[string]Options{
		"password is empty":    {},
		"distinguished name":   {AdminPassword: "x", Base: "nonsense"},
		"needs a certificate":  {AdminPassword: "x", TLSAddr: "127.0.0.1:0"},
		"administrator \"me\"": {AdminPassword: "x", AdminDN: "me"},
	} {
		s, err := Open(o)
		if err == nil {
			s.Close()
		}
		var e *rookery.Error
		if !errors.As(err, &e) || e.Kind != rookery.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
