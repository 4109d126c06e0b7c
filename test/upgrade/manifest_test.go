package upgrade

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rookery/test/harness"
)

// manifest is what IMAP and POP3 show of all mail, by login.
type manifest map[string]account

type account struct {
	Mailboxes map[string]mailbox
	Quota     string
	UIDLs     []string
}

type mailbox struct {
	Attributes                                     string // with those of SPECIAL-USE and subscription
	UIDValidity, UIDNext, MailboxID, HighestModSeq string
	Vanished                                       string   // UIDs whose expunge QRESYNC still tells
	Messages                                       []string // as message makes them, by UID
}

var (
	listLine  = regexp.MustCompile(`^LIST \(([^)]*)\) "/" (?:"((?:[^"\\]|\\.)*)"|(\S+))`)
	fetchLine = regexp.MustCompile(`^\d+ FETCH \((.*)\)$`)
	bodySum   = regexp.MustCompile(`BODY\[\] sha256:[0-9a-f]{64}`)
	flagList  = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	uidItem   = regexp.MustCompile(`\bUID (\d+)`)
)

// items are asked for one by one, so that the order of the answer is ours.
var items = []string{"FLAGS", "INTERNALDATE", "SAVEDATE", "EMAILID", "THREADID", "MODSEQ", "RFC822.SIZE", "ENVELOPE", "BODY.PEEK[]"}

func record(n harness.Node, conf *tls.Config, users []harness.User) (manifest, error) {
	m := manifest{}
	for _, u := range users {
		a, err := recordAccount(n, conf, u)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.Login, err)
		}
		m[u.Login] = a
	}
	return m, nil
}

func recordAccount(n harness.Node, conf *tls.Config, u harness.User) (a account, err error) {
	if a.UIDLs, err = uidls(n.POP3S, conf, u); err != nil {
		return a, err
	}
	c, err := signIn(n.IMAPS, conf, u)
	if err != nil {
		return a, err
	}
	defer c.close()
	quota, err := c.do("GETQUOTAROOT INBOX")
	if err != nil {
		return a, err
	}
	a.Quota = strings.Join(quota[:len(quota)-1], "; ")
	list, err := c.do(`LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE CHILDREN)`)
	if err != nil {
		return a, err
	}
	a.Mailboxes = map[string]mailbox{}
	for _, l := range list[:len(list)-1] {
		f := listLine.FindStringSubmatch(l)
		if f == nil {
			return a, fmt.Errorf("LIST answered %q", l)
		}
		name, attributes := f[2]+f[3], strings.Fields(f[1])
		slices.Sort(attributes)
		b := mailbox{Attributes: strings.Join(attributes, " ")}
		if !slices.Contains(attributes, `\NonExistent`) && !slices.Contains(attributes, `\Noselect`) {
			if err := b.record(c, name); err != nil {
				return a, fmt.Errorf("%s: %w", name, err)
			}
		}
		a.Mailboxes[name] = b
	}
	return a, nil
}

func (b *mailbox) record(c *client, name string) error {
	lines, err := c.do("EXAMINE %q", name)
	if err != nil {
		return err
	}
	text := strings.Join(lines, "\n")
	for code, to := range map[string]*string{
		"UIDVALIDITY": &b.UIDValidity, "UIDNEXT": &b.UIDNext, "MAILBOXID": &b.MailboxID, "HIGHESTMODSEQ": &b.HighestModSeq,
	} {
		m := regexp.MustCompile(`\[` + code + ` ([^\]]+)\]`).FindStringSubmatch(text)
		if m == nil {
			return fmt.Errorf("EXAMINE says no %s:\n%s", code, text)
		}
		*to = m[1]
	}
	changes, err := c.do("UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)")
	if err != nil {
		return err
	}
	for _, l := range changes {
		if v, ok := strings.CutPrefix(l, "VANISHED (EARLIER) "); ok {
			b.Vanished += v
		}
	}
	return b.messages(c)
}

// messages asks for every item of all messages and joins them by UID.
func (b *mailbox) messages(c *client) error {
	seen := map[int][]string{}
	for _, item := range items {
		lines, err := c.do("UID FETCH 1:* (%s)", item)
		if err != nil {
			return err
		}
		for _, l := range lines[:len(lines)-1] {
			f := fetchLine.FindStringSubmatch(l)
			if f == nil {
				return fmt.Errorf("FETCH %s answered %q", item, l)
			}
			uid := uidItem.FindStringSubmatch(f[1])
			if uid == nil {
				return fmt.Errorf("FETCH %s without UID: %q", item, l)
			}
			if item == "BODY.PEEK[]" && !bodySum.MatchString(f[1]) {
				return fmt.Errorf("FETCH of a body answered %q", l)
			}
			text := strings.Join(strings.Fields(strings.Replace(f[1], uid[0], "", 1)), " ")
			n, _ := strconv.Atoi(uid[1])
			seen[n] = append(seen[n], flagList.ReplaceAllStringFunc(text, sortFlags))
		}
	}
	b.Messages = []string{}
	for _, uid := range slices.Sorted(func(yield func(int) bool) {
		for u := range seen {
			if !yield(u) {
				return
			}
		}
	}) {
		if len(seen[uid]) != len(items) {
			return fmt.Errorf("UID %d has %d of %d items: %q", uid, len(seen[uid]), len(items), seen[uid])
		}
		b.Messages = append(b.Messages, fmt.Sprintf("UID %d %s", uid, strings.Join(seen[uid], " ")))
	}
	return nil
}

// sortFlags brings flags in one order and drops \Recent, which is a session's.
func sortFlags(s string) string {
	flags := strings.Fields(flagList.FindStringSubmatch(s)[1])
	flags = slices.DeleteFunc(flags, func(f string) bool { return f == `\Recent` })
	slices.Sort(flags)
	return "FLAGS (" + strings.Join(flags, " ") + ")"
}
