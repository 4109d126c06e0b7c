package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"rookery"
	"rookery/protocols/imap/names"
	"rookery/protocols/imap/wire"
	"rookery/storage/mailbox"
)

// listFamily holds LIST with its extensions (RFC 9051 6.3.9, RFC 5258, 5819,
// 6154), LSUB (RFC 3501 6.3.9) and XLIST, by which older clients find the
// special folders.
func listFamily() family {
	return family{
		commands: []*cmd{
			define("LIST", signedIn, tellAll, parseList, (*session).runList),
			define("LSUB", signedIn, tellAll, parseLsub, (*session).runLsub),
			define("XLIST", signedIn, tellAll, parseLsub, (*session).runXlist),
		},
		caps: caps(signedIn, "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "XLIST"),
	}
}

type listArgs struct {
	reference string
	patterns  []string
	// selection options
	subscribed, recursive, specialUse bool
	// return options
	withSubscribed bool
	status         []statusItem
	extended       bool
}

func parseList(s *session, l *wire.Lexer) listArgs {
	var a listArgs
	l.SP()
	if l.Next('(') {
		a.extended = true
		parseListSelection(l, &a)
		l.SP()
	}
	a.reference = s.decodeName(l, l.AString())
	l.SP()
	if l.Accept('(') {
		a.extended = true
		for l.OK() && !l.Accept(')') {
			if len(a.patterns) > 0 {
				l.SP()
			}
			a.patterns = append(a.patterns, s.pattern(l))
			if len(a.patterns) > s.srv.limits.Patterns {
				l.Syntax("LIST has more than %d patterns", s.srv.limits.Patterns)
			}
		}
	} else {
		a.patterns = []string{s.pattern(l)}
	}
	if l.Accept(' ') {
		a.extended = true
		if w := l.Atom(); l.OK() && !wire.Fold(w, "RETURN") {
			l.Syntax("expected RETURN, found %.40q", w)
		}
		l.SP()
		parseListReturn(l, &a)
	}
	l.End()
	a.bound(s, l)
	if a.recursive && !a.subscribed && !a.specialUse {
		l.Syntax("RECURSIVEMATCH needs another selection option beside it")
	}
	return a
}

// pattern takes a list-mailbox. Wildcards survive the decoding. One that is no
// modified UTF-7 is like no name: it matches nothing.
func (s *session) pattern(l *wire.Lexer) string {
	raw := l.ListMailbox()
	if !s.utf8 && !s.rev2 && l.OK() {
		if _, err := names.Decode(raw); err != nil {
			raw = noName
		}
	}
	p := s.decodeName(l, raw)
	if len(p) > s.srv.limits.PatternSize {
		l.Syntax("a LIST pattern is longer than %d octets", s.srv.limits.PatternSize)
	}
	return p
}

// noName is in no mailbox's name.
const noName = "\x00"

func parseListSelection(l *wire.Lexer, a *listArgs) {
	l.Byte('(')
	for l.OK() && !l.Accept(')') {
		l.Accept(' ')
		switch o := strings.ToUpper(l.Atom()); o {
		case "SUBSCRIBED":
			a.subscribed, a.withSubscribed = true, true
		case "RECURSIVEMATCH":
			a.recursive = true
		case "SPECIAL-USE":
			a.specialUse = true
		case "REMOTE":
		default:
			l.Syntax("the LIST selection option %.40s is unknown", o)
		}
	}
}

func parseListReturn(l *wire.Lexer, a *listArgs) {
	l.Byte('(')
	for l.OK() && !l.Accept(')') {
		l.Accept(' ')
		switch o := strings.ToUpper(l.Atom()); o {
		case "SUBSCRIBED":
			a.withSubscribed = true
		case "CHILDREN", "SPECIAL-USE":
		case "STATUS":
			l.SP()
			a.status = parseStatusItems(l)
		default:
			l.Syntax("the LIST return option %.40s is unknown", o)
		}
	}
}

func parseLsub(s *session, l *wire.Lexer) listArgs {
	var a listArgs
	l.SP()
	a.reference = s.decodeName(l, l.AString())
	l.SP()
	a.patterns = []string{s.pattern(l)}
	l.End()
	a.bound(s, l)
	return a
}

// bound refuses patterns that are too long together: each is held against each
// name. The reference stands before every one.
func (a *listArgs) bound(s *session, l *wire.Lexer) {
	total := len(a.reference) * len(a.patterns)
	for _, p := range a.patterns {
		total += len(p)
	}
	if limit := s.srv.limits.PatternsSize; l.OK() && total > limit {
		l.Fail(no("LIMIT", "the patterns are longer than %d octets together; ask with fewer or shorter ones", limit))
	}
}

// node is one name in the tree of mailboxes.
type node struct {
	name       string
	box        *mailbox.Mailbox // nil: only names below it exist, or it is only subscribed
	in         *listed          // whose box it is
	subscribed bool
	children   bool
	// below: a mailbox or name below meets the selection.
	below bool
}

// listed is one store in a listing.
type listed struct {
	view  View
	of    rookery.AccountID
	boxes []mailbox.Mailbox // with the client's names
}

// tree gives all names that the client sees in order: mailboxes, the account's
// subscriptions, and their parents.
func (s *session) tree(ctx context.Context, stores []listed, subs []string) ([]*node, error) {
	byName := make(map[string]*node, len(stores[0].boxes)+len(subs))
	get := func(name string) *node {
		n := byName[name]
		if n == nil {
			n = &node{name: name}
			byName[name] = n
		}
		return n
	}
	// The parents of a name that is in the tree, or has children, are in it.
	for k := range stores {
		boxes := stores[k].boxes
		for i := range boxes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n := get(boxes[i].Name)
			n.box, n.in = &boxes[i], &stores[k]
			for p := parent(boxes[i].Name); p != "" && !get(p).children; p = parent(p) {
				get(p).children = true
			}
		}
	}
	for _, name := range subs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for p := parent(name); p != "" && byName[p] == nil; p = parent(p) {
			get(p)
		}
		get(name).subscribed = true
	}
	list := make([]*node, 0, len(byName))
	for _, n := range byName {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *node) int {
		// INBOX first, as people expect it.
		if ai, bi := a.name == "INBOX", b.name == "INBOX"; ai != bi {
			if ai {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return list, nil
}

func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)]
}

// matcher is the patterns of one command.
func (a *listArgs) matcher() func(string) bool {
	ps := make([]names.Pattern, len(a.patterns))
	for i, p := range a.patterns {
		ps[i] = names.Compile(a.reference, p)
	}
	return func(name string) bool {
		for i := range ps {
			if ps[i].Match(name) {
				return true
			}
		}
		return false
	}
}

// markBelow notes, for every name, whether a selected name below it is not
// listed itself (RFC 9051 6.3.9.6).
func markBelow(ctx context.Context, list []*node, selected func(*node) bool, listed func(string) bool) error {
	byName := make(map[string]*node, len(list))
	for _, n := range list {
		byName[n.name] = n
	}
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !selected(n) || listed(n.name) {
			continue
		}
		for p := parent(n.name); p != "" && !byName[p].below; p = parent(p) {
			byName[p].below = true
		}
	}
	return nil
}

func (s *session) runList(ctx context.Context, a listArgs) error {
	if !a.extended && len(a.patterns) == 1 && a.patterns[0] == "" {
		s.out.Text("* LIST (\\Noselect) \"/\" \"\"\r\n")
		return nil
	}
	return s.list(ctx, func(list []*node) error {
		match := a.matcher()
		selected := func(n *node) bool {
			return (!a.subscribed || n.subscribed) && (!a.specialUse || n.box != nil && n.box.Role != "")
		}
		if a.recursive {
			if err := markBelow(ctx, list, selected, match); err != nil {
				return err
			}
		}
		for _, n := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			ok := selected(n) && (n.box != nil || n.children || a.subscribed)
			if !ok && !n.below || !match(n.name) {
				continue
			}
			s.writeList("LIST", n, a.extended, a.withSubscribed && n.subscribed, a.recursive && n.below && a.subscribed, "")
			if len(a.status) > 0 && n.box != nil {
				if err := s.writeStatus(n.in.view, n.in.of, *n.box, a.status); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *session) runLsub(ctx context.Context, a listArgs) error {
	if a.patterns[0] == "" {
		s.out.Text("* LSUB (\\Noselect) \"/\" \"\"\r\n")
		return nil
	}
	return s.list(ctx, func(list []*node) error {
		match := a.matcher()
		// RFC 3501 6.3.9: with %, a parent of a subscribed name shows as
		// \Noselect though it is not subscribed itself.
		if strings.Contains(a.patterns[0], "%") {
			if err := markBelow(ctx, list, func(n *node) bool { return n.subscribed }, match); err != nil {
				return err
			}
		}
		for _, n := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			switch {
			case n.subscribed && match(n.name):
				s.writeList("LSUB", n, false, false, false, "")
			case n.below && match(n.name):
				s.writeList("LSUB", &node{name: n.name, children: true}, false, false, false, "")
			}
		}
		return nil
	})
}

func (s *session) runXlist(ctx context.Context, a listArgs) error {
	return s.list(ctx, func(list []*node) error {
		match := a.matcher()
		for _, n := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			if (n.box == nil && !n.children) || !match(n.name) {
				continue
			}
			extra := ""
			switch {
			case n.name == "INBOX":
				extra = `\Inbox`
			case n.box != nil && n.box.Role == `\Junk`:
				extra = `\Spam`
			}
			s.writeList("XLIST", n, false, false, false, extra)
		}
		return nil
	})
}

// list syncs and opens the account, and what is mounted, for a listing.
func (s *session) list(ctx context.Context, each func([]*node) error) error {
	v, err := s.freshView(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	own := listed{view: v, of: s.own.ID()}
	if own.boxes, err = v.Mailboxes(); err != nil {
		return err
	}
	subs, err := v.Subscriptions()
	if err != nil {
		return err
	}
	stores, err := s.listMounts(ctx, own)
	if err != nil {
		return err
	}
	for _, l := range stores[1:] {
		defer l.view.Close()
	}
	nodes, err := s.tree(ctx, stores, subs)
	if err == nil {
		err = each(nodes)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return no("LIMIT", "The listing took longer than %v; ask with fewer or shorter patterns", s.srv.limits.Run)
	}
	return err
}

// listMounts adds what is mounted. A store that does not answer is left out
// with a warning: the account's own mailboxes do not depend on it.
func (s *session) listMounts(ctx context.Context, own listed) ([]listed, error) {
	all := []listed{own}
	mounts, err := s.mounted()
	for _, p := range mounts {
		l := listed{of: p.store.ID()}
		if l.view, err = s.viewOf(ctx, p.store); err == nil {
			if l.boxes, err = l.view.Mailboxes(); err != nil {
				l.view.Close()
			}
		}
		if err != nil {
			s.logger().Warn("IMAP cannot list a mounted store", "prefix", p.prefix, "error", err)
			s.out.Text("* NO [UNAVAILABLE] Mailboxes below ").Text(cleanText(p.prefix)).Text(" cannot be listed now\r\n")
			err = nil
			continue
		}
		for i := range l.boxes {
			// Its roles are its own: a client must not take its Sent for the account's.
			l.boxes[i].Name, l.boxes[i].Role = p.prefix+l.boxes[i].Name, ""
		}
		all = append(all, l)
	}
	return all, err
}

// writeList sends one LIST, LSUB or XLIST response.
func (s *session) writeList(what string, n *node, extended, subscribed, childInfo bool, extra string) {
	w := s.out
	w.Text("* ").Text(what).Text(" (")
	if n.box == nil {
		// \NonExistent, which implies the other, is for who speaks of it (RFC 5258 3).
		if what == "LIST" && (s.rev2 || extended) {
			w.Text(`\NonExistent `)
		} else {
			w.Text(`\Noselect `)
		}
	}
	if n.children {
		w.Text(`\HasChildren`)
	} else {
		w.Text(`\HasNoChildren`)
	}
	if subscribed {
		w.Text(` \Subscribed`)
	}
	if n.box != nil && n.box.Role != "" {
		w.Byte(' ').Text(n.box.Role)
	}
	if extra != "" {
		w.Byte(' ').Text(extra)
	}
	w.Text(`) "/" `)
	s.writeName(n.name)
	if childInfo {
		w.Text(` ("CHILDINFO" ("SUBSCRIBED"))`)
	}
	w.CRLF()
}
