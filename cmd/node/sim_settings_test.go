package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/cmd/node/couriers"
	"rookery/cmd/node/settings"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/session"
	"rookery/storage/command"
)

// changeCase is a value of a key that is not its test's default, and how one
// sees at a node that it counts. Cases that only a later start can see are
// nil where the key's effect says so.
type changeCase struct {
	value string
	holds func(c *sim, x *simNode) bool
	with  [][2]string // what must change with it
}

// TestEverySettingChangesOnARunningCluster changes each key on three nodes that
// run, and looks on each of them whether it counts. A key without a case fails:
// what cannot be shown to change is not to be offered.
func TestEverySettingChangesOnARunningCluster(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		cases := changeCases()
		for _, s := range settings.All() {
			key := strings.Replace(s.Name, ".NAME.", ".main.", 1)
			k, have := cases[key]
			if !have {
				t.Errorf("%s has no case: say how one sees that it changed", key)
				continue
			}
			c.changeAndLook(key, s.Effect, k)
			delete(cases, key)
		}
		for key := range cases {
			t.Errorf("%s is no key", key)
		}
	})
}

// changeAndLook gives a key a value for as long as it takes to look.
func (c *sim) changeAndLook(key, effect string, k changeCase) {
	c.t.Helper()
	before, _, err := c.nodes[0].settings.Read(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	doc, err := before.Document()
	for _, kv := range append(k.with, [2]string{key, k.value}) {
		if err == nil {
			doc, err = settings.SetKey(doc, kv[0], kv[1])
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	next, err := settings.Parse(doc)
	if err != nil {
		c.t.Fatal(err)
	}
	if reflect.DeepEqual(next, before) {
		c.t.Errorf("%s is %s already", key, k.value)
	}
	c.put(key, next)
	starts := strings.HasPrefix(effect, "when a node starts")
	if starts != (k.holds == nil) {
		c.t.Errorf("%s: its effect is %q; has it a check on running nodes: %v", key, effect, k.holds != nil)
	}
	for _, x := range c.nodes {
		if k.holds != nil && !k.holds(c, x) {
			c.t.Errorf("%s = %s is in force and does not count on %s", key, k.value, x.cfg.Name)
		}
	}
	c.put(key, before)
}

// put writes settings past the questions to other machines and waits for every
// node to work by them.
func (c *sim) put(key string, set settings.Cluster) {
	c.t.Helper()
	_, at, err := c.nodes[0].settings.Read(c.t.Context())
	if err == nil {
		at, err = c.nodes[0].settings.Write(c.t.Context(), set, at)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", key, err)
	}
	c.until(time.Minute, key+" is in force everywhere", func() bool {
		for _, x := range c.nodes {
			if x.settings.Version() != at {
				return false
			}
		}
		return true
	})
	synctest.Wait()
}

// converse is a session of lines with a port of a node: what it answers to each.
func (c *sim) converse(x *simNode, port int, lines ...string) (answers []string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	conn, err := c.net.Dialer(simClient+":0")(ctx, fmt.Sprintf("%s:%d", x.host, port))
	if err != nil {
		return []string{err.Error()}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if port != 25 {
		conn = net.Conn(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}))
	}
	r := bufio.NewReader(conn)
	for i := range len(lines) + 1 {
		if i > 0 {
			fmt.Fprintf(conn, "%s\r\n", lines[i-1])
		}
		var answer strings.Builder
		for {
			line, err := r.ReadString('\n')
			answer.WriteString(line)
			if err != nil || len(line) < 4 || line[3] != '-' {
				break
			}
		}
		answers = append(answers, answer.String())
	}
	return answers
}

// smtpSays looks for a text in the answer to the last line of an SMTP session.
func smtpSays(text string, lines ...string) func(*sim, *simNode) bool {
	return func(c *sim, x *simNode) bool {
		all := c.converse(x, 25, lines...)
		return strings.Contains(all[len(all)-1], text)
	}
}

// second is what a second connection is told while a first one is open.
func second(c *sim, x *simNode) bool {
	first, err := c.net.Dialer(simClient+":0")(c.t.Context(), x.host+":25")
	if err != nil {
		return false
	}
	defer first.Close()
	if _, err := bufio.NewReader(first).ReadString('\n'); err != nil {
		return false
	}
	return strings.HasPrefix(c.converse(x, 25)[0], "421 4.7.0")
}

// quotaOf gives the account of a recipient of a message the quota that counts.
func quotaOf(want int64) func(*sim, *simNode) bool {
	return func(c *sim, x *simNode) bool {
		c.converse(x, 25, "EHLO a.example", "MAIL FROM:<>", "RCPT TO:<"+login(1)+">")
		a, err := x.accounts.Open(c.t.Context(), c.ledger.people[1].account)
		if err != nil {
			return false
		}
		f, err := a.Facts(c.t.Context())
		return err == nil && f.Quota == want
	}
}

// sessionsOf counts how many sessions of one person a node takes.
func sessionsOf(want int) func(*sim, *simNode) bool {
	return func(c *sim, x *simNode) bool {
		taken := 0
		for range want + 1 {
			raw, err := c.net.Dialer(simClient+":0")(c.t.Context(), x.host+":993")
			if err != nil {
				return false
			}
			conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			lines := bufio.NewScanner(conn)
			lines.Scan()
			fmt.Fprintf(conn, "a LOGIN %s secret\r\n", login(2))
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "a ") {
			}
			if strings.HasPrefix(lines.Text(), "a OK") {
				taken++
			}
		}
		return taken == want
	}
}

func mayWriteAsOthers(c *sim, x *simNode) bool {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + login(0) + "\x00secret"))
	all := c.converse(x, 465, "EHLO a.example", "AUTH PLAIN "+plain, "MAIL FROM:<"+login(1)+">")
	return strings.HasPrefix(all[len(all)-1], "250 ")
}

// openedBy looks at what the directory was opened by.
func openedBy(field string, want any) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool {
		by := reflect.ValueOf(x.people.Opened()[0].By)
		return reflect.DeepEqual(by.FieldByName(field).Interface(), want)
	}
}

func attributesBy(field string, want any) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool {
		return reflect.DeepEqual(reflect.ValueOf(x.people.Opened()[0].By.Attributes).FieldByName(field).Interface(), want)
	}
}

// backupBy sees a field of the backup's settings in force.
func backupBy(field string, want any) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool {
		return reflect.ValueOf(x.settings.Backup()).FieldByName(field).Interface() == want
	}
}

func storeBy(field, want string) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool {
		return reflect.ValueOf(x.objects.Store.Settings()).FieldByName(field).String() == want
	}
}

// sentBy looks at what couriers go by.
func sentBy(holds func(outbound.Settings) bool) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool { return holds(x.couriers.Settings()) }
}

// smarthost looks at the next hop of all mail.
func smarthost(holds func(outbound.Hop) bool) func(*sim, *simNode) bool {
	return sentBy(func(s outbound.Settings) bool { return s.Smarthost != nil && holds(*s.Smarthost) })
}

// mayBeSent looks at what an account may send with an address of a domain.
func mayBeSent(domain string, rate command.Rate) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool { return x.settings.Submission().Rate(domain) == rate }
}

// relayedFrom reports whether a client at an address may relay.
func relayedFrom(addr string) func(*sim, *simNode) bool {
	return func(_ *sim, x *simNode) bool { return x.edge.Relays.Client(netip.MustParseAddr(addr), nil) != nil }
}

func changeCases() map[string]changeCase {
	const ca = "/etc/ssl/certs/ca-certificates.crt"
	rcpt := []string{"EHLO a.example", "MAIL FROM:<>"}
	return map[string]changeCase{
		"domains": {value: `["example.test", "second.test"]`,
			holds: smtpSays("550 5.1.1", append(rcpt, "RCPT TO:<nobody@second.test>")...)},
		"postmaster":    {value: login(1), holds: smtpSays("250 ", append(rcpt, "RCPT TO:<Postmaster>")...)},
		"catch_all":     {value: `["example.test=` + login(1) + `"]`, holds: smtpSays("250 ", append(rcpt, "RCPT TO:<nobody-at-all@example.test>")...)},
		"replication":   {value: "5", holds: func(_ *sim, x *simNode) bool { return x.registry.Policy().Replication == 5 }},
		"replace_after": {value: "15m", holds: func(_ *sim, x *simNode) bool { return x.registry.Policy().DeadAfter == 15*time.Minute }},

		"limits.message_size":            {value: "70000", holds: smtpSays("SIZE 70000", "EHLO a.example")},
		"limits.recipients":              {value: "123", holds: smtpSays("RCPTMAX=123", "EHLO a.example")},
		"limits.quota":                   {value: "123456789", holds: quotaOf(123456789)},
		"limits.connections":             {value: "1", holds: second},
		"limits.connections_per_address": {value: "1", holds: second},
		"limits.sessions_per_user":       {value: "2", holds: sessionsOf(2)},
		"limits.vanished_days":           {value: "3", holds: func(_ *sim, x *simNode) bool { return x.settings.Limits().VanishedDays == 3 }},
		"limits.expunged_days":           {value: "3", holds: func(_ *sim, x *simNode) bool { return x.settings.Limits().ExpungedDays == 3 }},
		"limits.check_sender":            {value: "false", holds: mayWriteAsOthers},

		"store.kind": {value: "s3", with: [][2]string{{"store.endpoint", "http://127.0.0.1:1"}, {"store.bucket", "b"},
			{"store.access_key", "a"}, {"store.secret_key", "s"}}},
		"store.path":       {value: "/tmp/elsewhere"},
		"store.bucket":     {value: "other"},
		"store.endpoint":   {value: "https://s3.example.test", holds: storeBy("Endpoint", "https://s3.example.test")},
		"store.region":     {value: "here", holds: storeBy("Region", "here")},
		"store.access_key": {value: "me", holds: storeBy("AccessKey", "me")},
		"store.secret_key": {value: "hush", holds: storeBy("SecretKey", "hush")},
		"store.ca_file":    {value: ca, holds: storeBy("CAFile", ca)},

		"backup.kind":           {value: "dir", holds: backupBy("Kind", "dir")},
		"backup.path":           {value: "elsewhere", holds: backupBy("Path", "elsewhere")},
		"backup.bucket":         {value: "other", holds: backupBy("Bucket", "other")},
		"backup.endpoint":       {value: "https://s3.example.test", holds: backupBy("Endpoint", "https://s3.example.test")},
		"backup.region":         {value: "here", holds: backupBy("Region", "here")},
		"backup.access_key":     {value: "me", holds: backupBy("AccessKey", "me")},
		"backup.secret_key":     {value: "hush", holds: backupBy("SecretKey", "hush")},
		"backup.ca_file":        {value: ca, holds: backupBy("CAFile", ca)},
		"backup.mib_per_second": {value: "7", holds: backupBy("MiBPerSecond", 7)},
		"backup.window":         {value: "7", holds: backupBy("Window", settings.Days(7))},
		"backup.nightly":        {value: "04:00", holds: backupBy("Nightly", "04:00")},
		"backup.time_zone":      {value: "Europe/Berlin", holds: backupBy("TimeZone", "Europe/Berlin")},
		"backup.daily":          {value: "3", holds: backupBy("Daily", 3)},
		"backup.weekly":         {value: "3", holds: backupBy("Weekly", 3)},
		"backup.monthly":        {value: "3", holds: backupBy("Monthly", 3)},
		"backup.yearly":         {value: "3", holds: backupBy("Yearly", 3)},

		"garbage.repack_below":        {value: "50", holds: func(_ *sim, x *simNode) bool { return x.objects.Repack().Below == 50 }},
		"garbage.repack_after":        {value: "48h", holds: func(_ *sim, x *simNode) bool { return x.objects.Repack().After == 48*time.Hour }},
		"garbage.merge_after":         {value: "2h", holds: func(_ *sim, x *simNode) bool { return x.objects.Repack().Merge == 2*time.Hour }},
		"garbage.repack_mib_per_hour": {value: "77", holds: func(_ *sim, x *simNode) bool { return x.objects.Garbage().RepackRate == 77 }},
		"garbage.sweep_every":         {value: "24h", holds: func(_ *sim, x *simNode) bool { return x.objects.Garbage().SweepEvery == "24h" }},

		"outbound.smarthost": {value: "relay.example.test:26",
			holds: smarthost(func(h outbound.Hop) bool { return h.Name == "relay.example.test:26" && h.Configured })},
		"outbound.smarthost_tls": {value: "verified", with: [][2]string{{"outbound.smarthost", "relay.example.test:26"}},
			holds: smarthost(func(h outbound.Hop) bool { return h.TLS == session.Verified })},
		"outbound.smarthost_user": {value: "me", with: [][2]string{{"outbound.smarthost", "relay.example.test:26"},
			{"outbound.smarthost_tls", "verified"},
			{"outbound.smarthost_password", "hush"}},
			holds: smarthost(func(h outbound.Hop) bool { return h.Auth != nil && h.Auth.Username == "me" })},
		"outbound.smarthost_password": {value: "hush", with: [][2]string{{"outbound.smarthost", "relay.example.test:26"},
			{"outbound.smarthost_tls", "verified"},
			{"outbound.smarthost_user", "me"}},
			holds: smarthost(func(h outbound.Hop) bool { return h.Auth != nil && h.Auth.Password == "hush" })},
		"outbound.routes": {value: `["old.example=10.0.0.1:25"]`,
			holds: sentBy(func(s outbound.Settings) bool { return s.Routes["old.example"].Name == "10.0.0.1:25" })},
		"outbound.connections": {value: "3", holds: sentBy(func(s outbound.Settings) bool { return s.Connections == 3 })},
		"outbound.retry_first": {value: "7s", holds: sentBy(func(s outbound.Settings) bool { return s.First == 7*time.Second })},
		"outbound.retry_most":  {value: "2h", holds: sentBy(func(s outbound.Settings) bool { return s.Most == 2*time.Hour })},
		"outbound.expire":      {value: "48h", holds: sentBy(func(s outbound.Settings) bool { return s.Expire == 48*time.Hour })},
		"outbound.notice":      {value: "1h", holds: sentBy(func(s outbound.Settings) bool { return s.Notice == time.Hour })},
		"outbound.retries": {value: `["Bücher.example=30s/10m/48h/1h"]`, holds: sentBy(func(s outbound.Settings) bool {
			return s.Schedules["xn--bcher-kva.example"] == outbound.Schedule{First: 30 * time.Second, Most: 10 * time.Minute,
				Expire: 48 * time.Hour, Notice: time.Hour} && s.First == time.Minute
		})},
		"outbound.tls_required": {value: `["Bücher.example"]`, holds: func(_ *sim, x *simNode) bool {
			return x.couriers.Required("xn--bcher-kva.example") && !x.couriers.Required("example")
		}},
		"outbound.resolvers": {value: `["127.0.0.9:53"]`,
			holds: func(_ *sim, x *simNode) bool {
				all, err := x.dns.servers()
				return err == nil && len(all.Addrs) == 1 && all.Addrs[0].String() == "127.0.0.9:53"
			}},
		"outbound.trusted_resolvers": {value: `["10.0.0.53"]`, with: [][2]string{{"outbound.resolvers", `["10.0.0.53:53"]`}},
			holds: func(_ *sim, x *simNode) bool {
				all, err := x.dns.servers()
				return err == nil && len(all.Trusted) == 1 && all.Trusted[0].String() == "10.0.0.53"
			}},
		"outbound.private_addresses": {value: "true", holds: func(_ *sim, x *simNode) bool { return x.couriers.Self().Private }},
		"outbound.queue_messages": {value: "8", holds: func(_ *sim, x *simNode) bool {
			return couriers.Limit(x.settings.Outbound(), 4).Items == 2
		}},
		"outbound.queue_size": {value: "4000000", holds: func(_ *sim, x *simNode) bool {
			return couriers.Limit(x.settings.Outbound(), 4).Bytes == 1_000_000
		}},

		"submission.recipients_an_hour": {value: "77", holds: mayBeSent("example.test", command.Rate{Most: 77, Surprise: 100})},
		"submission.recipients_of": {value: `["Bücher.example=5"]`,
			holds: mayBeSent("xn--bcher-kva.example", command.Rate{Most: 5, Surprise: 100})},
		"submission.surprise": {value: "0", holds: mayBeSent("example.test", command.Rate{Most: 1000})},

		"relay.networks": {value: `["192.0.2.0/24"]`, holds: relayedFrom("192.0.2.7")},
		"relay.certificates": {value: `["` + strings.Repeat("AB:", 31) + `AB"]`,
			holds: func(_ *sim, x *simNode) bool { return len(x.settings.Relay().Certificates) == 1 }},
		"relay.senders": {value: `["app@example.org"]`, with: [][2]string{{"relay.networks", `["192.0.2.0/24"]`}},
			holds: func(_ *sim, x *simNode) bool {
				g := x.edge.Relays.Client(netip.MustParseAddr("192.0.2.7"), nil)
				return g != nil && g.May(rookery.Address{Local: "app", Domain: "example.org"})
			}},
		"relay.old_tls": {value: "true", holds: func(_ *sim, x *simNode) bool { return x.settings.Relay().OldTLS }},

		"directories.main.urls": {value: `["ldap://127.0.0.9:389", "ldap://127.0.0.9:390"]`,
			holds: func(_ *sim, x *simNode) bool { return len(x.people.Stats().Servers) == 2 }},
		"directories.main.start_tls":   {value: "true", holds: openedBy("StartTLS", true)},
		"directories.main.ca_file":     {value: ca, holds: openedBy("CAFile", ca)},
		"directories.main.fingerprint": {value: strings.Repeat("ab", 32), holds: openedBy("Fingerprints", []string{strings.Repeat("ab", 32)})},
		"directories.main.bind_dn": {value: "uid=user0,ou=people,dc=example,dc=test",
			holds: openedBy("BindDN", "uid=user0,ou=people,dc=example,dc=test")},
		"directories.main.password":    {value: "another", holds: openedBy("Password", "another")},
		"directories.main.base":        {value: "ou=people,dc=example,dc=test", holds: openedBy("Base", "ou=people,dc=example,dc=test")},
		"directories.main.profile":     {value: "389", holds: openedBy("Profile", "389")},
		"directories.main.user_filter": {value: "(uid=user0)", holds: smtpSays("550 5.1.1", append(rcpt, "RCPT TO:<"+login(3)+">")...)},
		"directories.main.domains":     {value: `["example.test"]`, holds: func(_ *sim, x *simNode) bool { return x.people.Local(testDomain) }},
		"directories.main.prefixes":    {value: `["CORP"]`, holds: openedBy("Prefixes", []string{"CORP"})},
		"directories.main.realms": {value: `["corp.local"]`, holds: func(_ *sim, x *simNode) bool {
			return slices.Contains(x.people.Members()[0].Realms, "corp.local")
		}},
		"directories.main.attributes.key":   {value: "uid", holds: attributesBy("Key", "uid")},
		"directories.main.attributes.login": {value: `["cn"]`, holds: attributesBy("Login", []string{"cn"})},
		"directories.main.attributes.principal": {value: `["krbPrincipalName"]`,
			holds: attributesBy("Principal", []string{"krbPrincipalName"})},
		"directories.main.attributes.name": {value: `["sn"]`, holds: attributesBy("Name", []string{"sn"})},
		"directories.main.attributes.mail": {value: "mailAddress",
			holds: smtpSays("550 5.1.1", append(rcpt, "RCPT TO:<"+login(3)+">")...)},
		"directories.main.attributes.aliases":       {value: `["mailAlias"]`, holds: attributesBy("Aliases", []string{"mailAlias"})},
		"directories.main.attributes.proxy":         {value: "proxyAddresses", holds: attributesBy("Proxy", "proxyAddresses")},
		"directories.main.attributes.quota":         {value: `["mailQuota:GiB"]`, holds: attributesBy("Quota", []string{"mailQuota:GiB"})},
		"directories.main.attributes.forward":       {value: `["forwardTo"]`, holds: attributesBy("Forward", []string{"forwardTo"})},
		"directories.main.attributes.host":          {value: "mailServer", holds: attributesBy("Host", "mailServer")},
		"directories.main.attributes.address_login": {value: "no", holds: attributesBy("AddressLogin", "no")},
		"directories.main.copy":                     {value: "7s", holds: openedBy("Copy", 7*time.Second)},
		"directories.main.timeout":                  {value: "7s", holds: openedBy("OperationTimeout", 7*time.Second)},
	}
}
