package mailbox

import (
	"slices"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

// The model says what the machine should do, in maps and slices and without
// a thought for cost. It knows only what clients can see.

type model struct {
	accounts map[rookery.AccountID]*modelAccount
	items    map[command.ItemID]*modelItem
	filed    map[command.ItemID]map[rookery.AccountID]command.Filed
	packed   map[BodyID]command.PackID
	arrived  map[BodyID]int64
	life     map[command.PackID]int64 // when it begins
	staged   map[command.StageID]uint32
	encoded  map[BodyID]int64
	places   map[BodyID][]command.PackID // every pack that it was put into
	revived  map[BodyID]bool             // restores say where it is, not the log
	deleted  map[command.PackID]bool
}

type modelItem struct {
	body BodyID
	due  int64
	rows map[uint32]rookery.GroupID
}

type modelAccount struct {
	key      []byte
	wraps    map[rookery.EmailID][]byte // of the keys of messages
	quota    int64
	modseq   rookery.ModSeq
	validity uint32
	next     rookery.MailboxID
	boxes    []*modelBox
	subs     map[string]bool
	expunged []modelExpunged
	emails   map[rookery.EmailID]BodyID
	threads  map[rookery.EmailID]rookery.ThreadID
	sizes    map[rookery.EmailID]int64
	tokens   map[[8]byte]rookery.ThreadID
	holders  map[[8]byte][]rookery.EmailID
	past     []modelPast
	job      *modelJob
}

type modelBox struct {
	Mailbox
	rows  []Row
	tombs map[rookery.UID]rookery.ModSeq
}

type modelExpunged struct {
	Expunged
	keywords []string
}

func newModel() *model {
	return &model{map[rookery.AccountID]*modelAccount{}, map[command.ItemID]*modelItem{},
		map[command.ItemID]map[rookery.AccountID]command.Filed{}, map[BodyID]command.PackID{},
		map[BodyID]int64{}, map[command.PackID]int64{}, map[command.StageID]uint32{},
		map[BodyID]int64{}, map[BodyID][]command.PackID{}, map[BodyID]bool{}, map[command.PackID]bool{}}
}

func (a *modelAccount) used() (bytes int64, messages uint64) {
	for _, x := range a.boxes {
		for _, r := range x.rows {
			bytes, messages = bytes+r.Size, messages+1
		}
	}
	return bytes, messages
}

func (a *modelAccount) box(id rookery.MailboxID) *modelBox {
	for _, x := range a.boxes {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (a *modelAccount) withRole(role string) *modelBox {
	for _, x := range a.boxes {
		if x.Role == role {
			return x
		}
	}
	return nil
}

func (a *modelAccount) named(name string) *modelBox {
	for _, x := range a.boxes {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// create makes a mailbox with its parents.
func (a *modelAccount) create(name, role string, validity uint32, now int64) *modelBox {
	levels := strings.Split(name, "/")
	for i := range levels {
		n := strings.Join(levels[:i+1], "/")
		if a.named(n) != nil {
			continue
		}
		a.validity = max(a.validity+1, validity)
		x := &modelBox{Mailbox: Mailbox{ID: a.next, Name: n, UIDValidity: rookery.UIDValidity(a.validity), UIDNext: 1,
			HighestModSeq: a.modseq, Changed: a.modseq, Created: now},
			tombs: map[rookery.UID]rookery.ModSeq{}}
		if n == name {
			x.Role = role
		}
		a.next++
		a.boxes = append(a.boxes, x)
	}
	return a.named(name)
}

// spell gives keywords in the mailbox's spelling and order, adding new ones.
func (x *modelBox) spell(names []string) (out []string) {
	for _, n := range names {
		if !slices.ContainsFunc(x.Keywords, func(k string) bool { return strings.EqualFold(k, n) }) {
			x.Keywords = append(slices.Clone(x.Keywords), n)
		}
	}
	for _, k := range x.Keywords {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(k, n) }) {
			out = append(out, k)
		}
	}
	return out
}

func (x *modelBox) add(a *modelAccount, r Row) rookery.UID {
	r.UID, r.ModSeq = x.UIDNext, a.modseq
	x.UIDNext++
	x.rows = append(x.rows, r)
	x.HighestModSeq = a.modseq
	return r.UID
}

func (x *modelBox) remove(a *modelAccount, uid rookery.UID) {
	x.rows = slices.DeleteFunc(x.rows, func(r Row) bool { return r.UID == uid })
	x.tombs[uid] = a.modseq
	x.HighestModSeq = a.modseq
}

// release forgets an email nothing refers to.
func (a *modelAccount) release(id rookery.EmailID) {
	for _, x := range a.boxes {
		if slices.ContainsFunc(x.rows, func(r Row) bool { return r.Email == id }) {
			return
		}
	}
	if slices.ContainsFunc(a.expunged, func(e modelExpunged) bool { return e.Row.Email == id }) {
		return
	}
	delete(a.emails, id)
	delete(a.wraps, id)
	delete(a.threads, id)
	for t, holders := range a.holders {
		holders = slices.DeleteFunc(holders, func(e rookery.EmailID) bool { return e == id })
		if a.holders[t] = holders; len(holders) == 0 {
			delete(a.holders, t)
			delete(a.tokens, t)
		}
	}
}

func (a *modelAccount) thread(id rookery.EmailID, tokens [][8]byte) rookery.ThreadID {
	thread := rookery.ThreadID(id)
	for _, t := range tokens {
		if known, ok := a.tokens[t]; ok {
			thread = known
			break
		}
	}
	a.bind(id, thread, tokens)
	return thread
}

// bind lets tokens that lead nowhere lead to a thread.
func (a *modelAccount) bind(id rookery.EmailID, thread rookery.ThreadID, tokens [][8]byte) {
	for _, t := range tokens {
		if _, ok := a.tokens[t]; !ok {
			a.tokens[t] = thread
		}
		if !slices.Contains(a.holders[t], id) {
			a.holders[t] = append(a.holders[t], id)
		}
	}
}

// keep moves a row to the recoverable list.
func (a *modelAccount) keep(x *modelBox, r Row, now int64) {
	id := command.ExpungedID{ModSeq: a.modseq, UID: r.UID}
	kw := r.Keywords
	a.expunged = append(a.expunged, modelExpunged{Expunged{id, x.ID, x.Name, now, r}, kw})
}

func (m *model) deliver(c *command.Deliver, index BodyID, now int64) *command.DeliverResult {
	m.arrived[index], m.encoded[index] = now, int64(len(c.Payload))
	if c.Staged != nil {
		m.encoded[index] = 5 * int64(c.Staged.Parts)
	}
	result := &command.DeliverResult{}
	moved := map[rookery.AccountID]bool{}
	for i := range c.Deliveries {
		d := &c.Deliveries[i]
		if c.FromItem != nil {
			if was, ok := m.filed[*c.FromItem][d.Account]; ok {
				result.Filed = append(result.Filed, was)
				continue
			}
		}
		filed := m.deliverOne(c, d, index, now, moved, result)
		result.Filed = append(result.Filed, filed)
		if c.FromItem != nil && m.accounts[d.Account] != nil {
			if m.filed[*c.FromItem] == nil {
				m.filed[*c.FromItem] = map[rookery.AccountID]command.Filed{}
			}
			m.filed[*c.FromItem][d.Account] = filed
		}
	}
	if c.Item != nil {
		x := &modelItem{index, now, map[uint32]rookery.GroupID{}}
		for n, row := range c.Item.Rows {
			x.rows[uint32(n)] = row.Group
		}
		m.items[c.Item.ID] = x
		result.Body = index
	}
	if c.Staged != nil {
		delete(m.staged, c.Staged.Stage)
	}
	return result
}

func (m *model) deliverOne(c *command.Deliver, d *command.Delivery, index BodyID, now int64, moved map[rookery.AccountID]bool,
	result *command.DeliverResult) command.Filed {
	a := m.accounts[d.Account]
	if a == nil {
		return command.Filed{Kind: rookery.KindNotFound}
	}
	if d.Mailbox != 0 && d.Role != "" {
		return command.Filed{Kind: rookery.KindInvalid}
	}
	x := a.box(max(d.Mailbox, Inbox))
	if d.Role != "" {
		x = a.withRole(d.Role)
	}
	if x == nil && d.Strict {
		return command.Filed{Kind: rookery.KindNotFound}
	}
	if x == nil {
		x = a.box(Inbox)
	}
	if used, _ := a.used(); a.quota > 0 && !d.NoQuota && used+c.Size > a.quota {
		return command.Filed{Kind: rookery.KindOverQuota}
	}
	if _, ok := a.emails[c.Email]; !ok {
		a.emails[c.Email] = index
		a.wraps[c.Email] = d.WrappedKey
		a.sizes[c.Email] = c.Size
		result.Body = index
		a.threads[c.Email] = a.thread(c.Email, d.Threads)
	}
	if !moved[d.Account] {
		moved[d.Account] = true
		a.modseq++
	}
	r := Row{Email: c.Email, Thread: a.threads[c.Email], Flags: d.Flags, Keywords: x.spell(d.Keywords), Size: a.sizes[c.Email],
		InternalDate: d.InternalDate, SaveDate: now / 1e9, UIDL: d.UIDL}
	if r.InternalDate == 0 {
		r.InternalDate = now / 1e9
	}
	m.had(a, c.Email, r, a.wraps[c.Email], d.Threads, a.emails[c.Email])
	uid := x.add(a, r)
	return command.Filed{OK: true, Mailbox: x.ID, UIDValidity: x.UIDValidity, UID: uid, ModSeq: a.modseq}
}

func (m *model) store(c *command.StoreFlags) *command.StoreResult {
	a := m.accounts[c.Account]
	x := a.box(c.Mailbox)
	var modified, changed []rookery.UID
	a.modseq++
	for i := range x.rows {
		r := &x.rows[i]
		if !c.UIDs.Contains(r.UID) {
			continue
		}
		if c.UnchangedSince != nil && r.ModSeq > *c.UnchangedSince {
			modified = append(modified, r.UID)
			continue
		}
		flags, names := r.Flags, r.Keywords
		has := func(k string) bool {
			return slices.ContainsFunc(c.Keywords, func(n string) bool { return strings.EqualFold(n, k) })
		}
		switch c.Mode {
		case command.StoreAdd:
			flags, names = flags|c.Flags, x.spell(append(slices.Clone(names), c.Keywords...))
		case command.StoreRemove:
			flags, names = flags&^c.Flags, x.spell(slices.DeleteFunc(slices.Clone(names), has))
		case command.StoreReplace:
			flags, names = c.Flags, x.spell(c.Keywords)
		}
		if flags == r.Flags && slices.Equal(names, r.Keywords) {
			continue
		}
		r.Flags, r.Keywords, r.ModSeq = flags, names, a.modseq
		x.HighestModSeq = a.modseq
		changed = append(changed, r.UID)
	}
	if len(changed) == 0 {
		a.modseq--
	}
	return &command.StoreResult{Modified: uidset.New(modified...), Changed: uidset.New(changed...), ModSeq: x.HighestModSeq}
}

func (m *model) expunge(c *command.Expunge, now int64) *command.ExpungeResult {
	a := m.accounts[c.Account]
	x := a.box(c.Mailbox)
	var gone []rookery.UID
	a.modseq++
	for _, r := range slices.Clone(x.rows) {
		if (c.All || c.UIDs.Contains(r.UID)) && (c.Force || r.Flags.Has(command.FlagDeleted)) {
			gone = append(gone, r.UID)
			a.keep(x, r, now)
			x.remove(a, r.UID)
		}
	}
	if len(gone) == 0 {
		a.modseq--
	}
	return &command.ExpungeResult{UIDs: uidset.New(gone...), ModSeq: x.HighestModSeq}
}

func (m *model) copy(account rookery.AccountID, from, to rookery.MailboxID, uids UIDs, move bool,
	now int64) (*command.CopyResult, rookery.Kind) {
	a := m.accounts[account]
	x, y := a.box(from), a.box(to)
	var rows []Row
	var size int64
	for _, r := range x.rows {
		if uids.Contains(r.UID) {
			rows, size = append(rows, r), size+r.Size
		}
	}
	used, _ := a.used()
	if a.quota > 0 && !move && len(rows) > 0 && used+size > a.quota {
		return nil, rookery.KindOverQuota
	}
	var src, dst []rookery.UID
	if len(rows) > 0 {
		a.modseq++
	}
	for _, r := range rows {
		src = append(src, r.UID)
		if move {
			x.remove(a, r.UID)
		}
		r.SaveDate, r.Keywords = now/1e9, y.spell(r.Keywords)
		dst = append(dst, y.add(a, r))
	}
	return &command.CopyResult{UIDValidity: y.UIDValidity, Src: uidset.New(src...), Dst: uidset.New(dst...), ModSeq: a.modseq}, 0
}

func (m *model) recover(c *command.Recover, now int64) (*command.CopyResult, rookery.Kind) {
	a := m.accounts[c.Account]
	y := a.box(c.To)
	var size int64
	var found []modelExpunged
	for _, id := range c.Messages {
		i := slices.IndexFunc(a.expunged, func(e modelExpunged) bool { return e.ExpungedID == id })
		if i < 0 || slices.ContainsFunc(found, func(e modelExpunged) bool { return e.ExpungedID == id }) {
			return nil, rookery.KindNotFound
		}
		found, size = append(found, a.expunged[i]), size+a.expunged[i].Row.Size
	}
	if used, _ := a.used(); a.quota > 0 && len(found) > 0 && used+size > a.quota {
		return nil, rookery.KindOverQuota
	}
	var dst []rookery.UID
	if len(found) > 0 {
		a.modseq++
	}
	for _, e := range found {
		a.expunged = slices.DeleteFunc(a.expunged, func(o modelExpunged) bool { return o.ExpungedID == e.ExpungedID })
		r := e.Row
		r.Flags &^= command.FlagDeleted
		r.SaveDate, r.Keywords = now/1e9, y.spell(e.keywords)
		dst = append(dst, y.add(a, r))
	}
	return &command.CopyResult{UIDValidity: y.UIDValidity, Dst: uidset.New(dst...), ModSeq: a.modseq}, 0
}

func (m *model) purge(account rookery.AccountID, before int64) uint32 {
	a := m.accounts[account]
	var gone []rookery.EmailID
	a.expunged = slices.DeleteFunc(a.expunged, func(e modelExpunged) bool {
		if e.Time < before {
			gone = append(gone, e.Row.Email)
		}
		return e.Time < before
	})
	for _, e := range gone {
		a.release(e)
	}
	return uint32(len(gone))
}

func (m *model) delete(c *command.DeleteMailbox, now int64) rookery.Kind {
	a := m.accounts[c.Account]
	x := a.named(c.Name)
	switch {
	case c.Name == "INBOX":
		return rookery.KindDenied
	case x == nil && slices.ContainsFunc(a.boxes, func(b *modelBox) bool { return strings.HasPrefix(b.Name, c.Name+"/") }):
		return rookery.KindDenied
	case x == nil:
		return rookery.KindNotFound
	}
	a.modseq++
	for _, r := range x.rows {
		a.keep(x, r, now)
	}
	a.boxes = slices.DeleteFunc(a.boxes, func(b *modelBox) bool { return b == x })
	return 0
}

func (m *model) rename(c *command.RenameMailbox, now int64) rookery.Kind {
	a := m.accounts[c.Account]
	x := a.named(c.From)
	var moving []*modelBox
	for _, b := range a.boxes {
		if b == x || strings.HasPrefix(b.Name, c.From+"/") {
			moving = append(moving, b)
		}
	}
	switch {
	case a.named(c.To) != nil:
		return rookery.KindExists
	case c.From == "INBOX":
		a.modseq++
		y := a.create(c.To, "", c.Validity, now)
		a.modseq-- // one command, one MODSEQ
		if len(x.rows) > 0 {
			m.copy(c.Account, Inbox, y.ID, uidset.Range(1, x.UIDNext), true, now)
		} else {
			a.modseq++
		}
		return 0
	case len(moving) == 0:
		return rookery.KindNotFound
	case strings.HasPrefix(c.To, c.From+"/"):
		return rookery.KindInvalid
	}
	for _, b := range moving {
		if a.named(c.To+b.Name[len(c.From):]) != nil {
			return rookery.KindExists
		}
	}
	a.modseq++
	for _, b := range moving {
		b.Name, b.Changed = c.To+b.Name[len(c.From):], a.modseq
	}
	if i := strings.LastIndexByte(c.To, '/'); i > 0 {
		a.create(c.To[:i], "", c.Validity, now)
	}
	for _, s := range sorted(a.subs) {
		if s == c.From || strings.HasPrefix(s, c.From+"/") {
			delete(a.subs, s)
			a.subs[c.To+s[len(c.From):]] = true
		}
	}
	return 0
}

func sorted(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// alive reports the bodies something refers to.
func (m *model) alive() map[BodyID]bool {
	out := map[BodyID]bool{}
	for _, a := range m.accounts {
		for _, b := range a.emails {
			out[b] = true
		}
	}
	for _, x := range m.items {
		out[x.body] = true
	}
	return out
}
