package scenario

import (
	"fmt"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery/test/harness"
)

// The directory is the company's: who is added gets mail, and who is disabled there loses
// an open session on every node within 8 s, and does not sign in again.
func TestTheDirectoryDecides(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	t.Parallel() // it mostly waits
	d := harness.StartCluster(t, t.TempDir(), 3)
	nodes, user := d.Facts.Nodes, d.Facts.Users[0]
	admin := d.Facts.Admin
	l, err := goldap.DialURL("ldap://" + d.Facts.LDAP)
	must(t, err)
	defer l.Close()
	must(t, l.Bind(admin.DN, admin.Password))
	eventually(t, time.Minute, "the directory is copied", func() bool {
		out, code := operator{t, d, "node2"}.run("directory", "status", "--json")
		return code == 0 && len(out) > 2
	})
	r := goldap.NewAddRequest("uid=newcomer,ou=people,"+admin.Base, nil)
	r.Attribute("objectClass", []string{"inetOrgPerson"})
	r.Attribute("cn", []string{"New Comer"})
	r.Attribute("sn", []string{"Comer"})
	r.Attribute("mail", []string{"newcomer@example.test"})
	r.Attribute("userPassword", []string{"welcome"})
	must(t, l.Add(r))
	must(t, send(nodes[2].SMTP, []string{"newcomer@example.test"}, "Subject: welcome\r\n\r\nhi\r\n"))
	newcomer := harness.User{Login: "newcomer@example.test", Password: "welcome"}
	eventually(t, time.Minute, "mail for who was added is filed", func() bool { return holds(seen(t, d, nodes[0], newcomer), "welcome") })

	// A group with an address is a list: its members get one copy each, by way of another
	// group and of itself too.
	group := func(cn, mail string, members ...string) {
		r := goldap.NewAddRequest("cn="+cn+",ou=people,"+admin.Base, nil)
		r.Attribute("objectClass", []string{"groupOfNames", "extensibleObject"})
		r.Attribute("cn", []string{cn})
		r.Attribute("member", members)
		if mail != "" {
			r.Attribute("mail", []string{mail})
		}
		must(t, l.Add(r))
	}
	dn := func(cn string) string { return "cn=" + cn + ",ou=people," + admin.Base }
	group("sales", "", "uid=newcomer,ou=people,"+admin.Base, dn("all"))
	group("all", "all@example.test", "uid=newcomer,ou=people,"+admin.Base, dn("sales"), dn("nobody"))
	eventually(t, time.Minute, "the group is a list", func() bool {
		return send(nodes[1].SMTP, []string{"all@example.test"}, "Subject: to all\r\n\r\nhi\r\n") == nil
	})
	eventually(t, time.Minute, "members get what is sent to the list", func() bool {
		return holds(seen(t, d, nodes[0], newcomer), "to all")
	})
	times := 0
	for _, subject := range seen(t, d, nodes[2], newcomer).subjects {
		if subject == "to all" {
			times++
		}
	}
	if times != 1 {
		t.Errorf("a member got %d copies", times)
	}

	// With the directory away mail goes on, for people and for lists.
	data := []string{"-data", d.Dir}
	operate(t, append([]string{"dev", "directory", "stop"}, data...)...)
	for _, to := range []string{d.Facts.Users[1].Login, "all@example.test"} {
		if err := send(nodes[2].SMTP, []string{to}, "Subject: meanwhile\r\n\r\nhi\r\n"); err != nil {
			t.Errorf("with the directory away mail for %s is answered %v", to, err)
		}
	}
	if err := send(nodes[2].SMTP, []string{"stranger@example.test"}, "Subject: x\r\n\r\nhi\r\n"); err == nil || err.Error()[:1] != "4" {
		t.Errorf("with the directory away mail for somebody unknown is answered %v", err)
	}
	operate(t, append([]string{"dev", "directory", "start"}, data...)...)
	eventually(t, time.Minute, "mail of meanwhile is read when it is back", func() bool {
		return holds(seen(t, d, nodes[0], newcomer), "meanwhile")
	})

	l, err = goldap.DialURL("ldap://" + d.Facts.LDAP)
	must(t, err)
	defer l.Close()
	must(t, l.Bind(admin.DN, admin.Password))

	var idle []*client
	for _, n := range nodes {
		c := dial(t, d, n.IMAPS)
		c.until("* OK")
		c.send("a LOGIN %s %s\r\nb SELECT INBOX\r\n", user.Login, user.Password)
		c.until("b OK")
		c.send("c IDLE\r\n")
		c.until("+ ")
		must(t, c.err)
		idle = append(idle, c)
	}
	find, err := l.Search(goldap.NewSearchRequest(admin.Base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false,
		fmt.Sprintf("(mail=%s)", goldap.EscapeFilter(user.Login)), []string{"1.1"}, nil))
	must(t, err)
	m := goldap.NewModifyRequest(find.Entries[0].DN, nil)
	m.Replace("accountStatus", []string{"disabled"})
	must(t, l.Modify(m))
	began := time.Now()
	for i, c := range idle {
		c.conn.SetReadDeadline(began.Add(harness.Patience(time.Minute)))
		for ended := false; !ended; {
			_, err := c.line()
			ended = err != nil
		}
		if took := time.Since(began); took > harness.Patience(8*time.Second) {
			t.Errorf("the session on %s ended after %v", nodes[i].Name, took)
		} else {
			t.Logf("the session on %s ended after %v", nodes[i].Name, took)
		}
		c.close()
	}
	c := dial(t, d, nodes[1].IMAPS)
	c.until("* OK")
	c.send("a LOGIN %s %s\r\n", user.Login, user.Password)
	if lines := c.until("a "); len(lines) == 0 || lines[len(lines)-1][:4] != "a NO" {
		t.Errorf("who is disabled signs in: %v", lines)
	}
	c.close()
	must(t, send(nodes[1].SMTP, []string{user.Login}, "Subject: still\r\n\r\nhi\r\n")) // who is disabled receives
}
