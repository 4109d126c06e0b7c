package replica

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/directory"
)

// The bounds of what is kept of an entry, in bytes, and of its index strings.
const (
	MaxValue   = 64 << 10
	MaxIndex   = 512
	MaxIndexes = 1024
)

// The first byte of a value says how the rest is read. Formats are only ever added.
const (
	formatPlain  = 1 // CBOR of a stored
	formatPacked = 2 // the same, deflated
)

// packFrom is from what size on a value is deflated: names of members repeat
// themselves.
const packFrom = 2 << 10

// maxUnpacked bounds what a deflated value may become.
const maxUnpacked = 16 << 20

// Coded is an entry as a copy keeps it.
type Coded struct {
	Value []byte
	// Index is by what the entry is found: its addresses, the primary one first, its
	// logins, its name, the groups that it names, and that it is a list.
	Index []string
	// Has has a bit for each attribute that the entry has.
	Has uint32
}

// The beginnings of index strings.
const (
	byAddress = "a:"
	byLogin   = "l:"
	byDN      = "d:"
	byGroup   = "g:"
	lists     = "t:list"
)

// index makes an index string; a long one is told by its digest.
func index(by, what string) string {
	what = strings.ReplaceAll(what, "\x00", "")
	if len(by)+len(what) > MaxIndex {
		sum := sha256.Sum256([]byte(what))
		what = "#" + hex.EncodeToString(sum[:])
	}
	return by + what
}

// stored is a directory.Record. Numbers of fields are only ever appended.
type stored struct {
	DN              string      `cbor:"1,keyasint,omitempty"`
	Login           string      `cbor:"2,keyasint,omitempty"`
	Name            string      `cbor:"3,keyasint,omitempty"`
	Primary         *address    `cbor:"4,keyasint,omitempty"`
	Addresses       []address   `cbor:"5,keyasint,omitempty"`
	Quota           int64       `cbor:"6,keyasint,omitempty"`
	Disabled        bool        `cbor:"7,keyasint,omitempty"`
	Locked          bool        `cbor:"8,keyasint,omitempty"`
	Forward         []address   `cbor:"9,keyasint,omitempty"`
	ForwardOnly     bool        `cbor:"10,keyasint,omitempty"`
	Host            string      `cbor:"11,keyasint,omitempty"`
	Logins          []string    `cbor:"12,keyasint,omitempty"`
	Groups          []string    `cbor:"13,keyasint,omitempty"`
	List            *storedList `cbor:"14,keyasint,omitempty"`
	PasswordChanged string      `cbor:"15,keyasint,omitempty"`
	DisabledWhy     string      `cbor:"16,keyasint,omitempty"`
	Hidden          bool        `cbor:"17,keyasint,omitempty"`
}

type address struct {
	_      struct{} `cbor:",toarray"`
	Local  string
	Domain string
}

type storedList struct {
	Members     []string `cbor:"1,keyasint,omitempty"`
	Uids        []string `cbor:"2,keyasint,omitempty"`
	External    []string `cbor:"3,keyasint,omitempty"`
	Senders     []string `cbor:"4,keyasint,omitempty"`
	MembersOnly bool     `cbor:"5,keyasint,omitempty"`
	InsideOnly  bool     `cbor:"6,keyasint,omitempty"`
	Moderators  []string `cbor:"7,keyasint,omitempty"`
	Query       string   `cbor:"8,keyasint,omitempty"`
	// Cut says how many members there are that did not fit, of a list that has none
	// here for it.
	Cut int `cbor:"9,keyasint,omitempty"`
}

var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	e, err := cbor.CoreDetEncOptions().EncMode()
	d, derr := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 1 << 20, MaxMapPairs: 64}.DecMode()
	if err := errors.Join(err, derr); err != nil {
		panic(err) // options are constants: a broken build
	}
	return e, d
}

// Encode gives what a copy keeps of an entry. Of a list whose members do not fit it
// keeps how many there are, so that nobody takes it for an empty one. KindTooLarge:
// the entry does not fit.
func Encode(r directory.Record) (Coded, error) {
	c := Coded{Index: indexes(&r), Has: has(&r)}
	if len(c.Index) > MaxIndexes {
		return c, tooLarge("it has %d addresses, logins and groups, at most %d", len(c.Index), MaxIndexes)
	}
	s := toStored(&r)
	if c.Value = pack(&s); len(c.Value) > MaxValue && s.List != nil {
		cut := *s.List
		cut.Cut = len(cut.Members) + len(cut.Uids) + len(cut.External)
		cut.Members, cut.Uids, cut.External = nil, nil, nil
		s.List = &cut
		c.Value = pack(&s)
	}
	if len(c.Value) > MaxValue {
		return c, tooLarge("it has %d bytes, at most %d", len(c.Value), MaxValue)
	}
	return c, nil
}

func tooLarge(format string, a ...any) error {
	return rookery.E("copy entry", rookery.KindTooLarge, fmt.Errorf(format, a...))
}

func pack(s *stored) []byte {
	plain, err := encMode.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("replica: cannot encode an entry: %v", err)) // strings and numbers only
	}
	if len(plain) < packFrom {
		return append([]byte{formatPlain}, plain...)
	}
	var b bytes.Buffer
	b.WriteByte(formatPacked)
	w, _ := flate.NewWriter(&b, flate.BestSpeed) // fails for a level out of range only
	w.Write(plain)
	w.Close()
	return b.Bytes()
}

// Decode reads what Encode gave as the entry with a key. KindDamaged: it is nothing
// that this version has written.
func Decode(key string, value []byte) (directory.Record, error) {
	r, _, err := decode(key, value)
	return r, err
}

// decode gives besides how many members a list has that are not in it.
func decode(key string, value []byte) (r directory.Record, cut int, err error) {
	fail := func(err error) (directory.Record, int, error) {
		return directory.Record{}, 0, rookery.E("read copy", rookery.KindDamaged, fmt.Errorf("entry %.200q: %w", key, err))
	}
	if len(value) == 0 {
		return fail(errors.New("it is empty"))
	}
	plain := value[1:]
	switch value[0] {
	case formatPlain:
	case formatPacked:
		if plain, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(plain)), maxUnpacked+1)); err != nil {
			return fail(err)
		}
		if len(plain) > maxUnpacked {
			return fail(errors.New("it is too large"))
		}
	default:
		return fail(fmt.Errorf("format %d is of a later version", value[0]))
	}
	var s stored
	if err := decMode.Unmarshal(plain, &s); err != nil {
		return fail(err)
	}
	if s.List != nil {
		cut = s.List.Cut
	}
	return s.record(key), cut, nil
}

func toStored(r *directory.Record) stored {
	s := stored{DN: r.DN, Login: r.Login, Name: r.Name, Addresses: pairs(r.Addresses), Quota: r.Quota, Disabled: r.Disabled, Locked: r.Locked,
		Forward: pairs(r.Forward), ForwardOnly: r.ForwardOnly, Host: r.Host, Logins: r.Logins, Groups: r.Groups,
		PasswordChanged: r.PasswordChanged, DisabledWhy: r.DisabledWhy, Hidden: r.Hidden}
	if r.Primary != (rookery.Address{}) {
		s.Primary = &address{Local: r.Primary.Local, Domain: r.Primary.Domain}
	}
	if l := r.List; l != nil {
		s.List = &storedList{l.Members, l.Uids, l.External, l.Senders, l.MembersOnly, l.InsideOnly, l.Moderators, l.Query, 0}
	}
	return s
}

func (s *stored) record(key string) directory.Record {
	r := directory.Record{
		Entry: directory.Entry{Key: key, DN: s.DN, Login: s.Login, Name: s.Name, Addresses: addresses(s.Addresses), Quota: s.Quota,
			Disabled: s.Disabled, Locked: s.Locked, Forward: addresses(s.Forward), ForwardOnly: s.ForwardOnly, Host: s.Host},
		Logins: s.Logins, Groups: s.Groups, PasswordChanged: s.PasswordChanged, DisabledWhy: s.DisabledWhy, Hidden: s.Hidden,
	}
	if s.Primary != nil {
		r.Primary = rookery.Address{Local: s.Primary.Local, Domain: s.Primary.Domain}
	}
	if l := s.List; l != nil {
		r.List = &directory.List{Members: l.Members, Uids: l.Uids, External: l.External, Senders: l.Senders, MembersOnly: l.MembersOnly,
			InsideOnly: l.InsideOnly, Moderators: l.Moderators, Query: l.Query}
	}
	return r
}

func pairs(all []rookery.Address) (some []address) {
	for _, a := range all {
		some = append(some, address{Local: a.Local, Domain: a.Domain})
	}
	return some
}

func addresses(all []address) (some []rookery.Address) {
	for _, a := range all {
		some = append(some, rookery.Address{Local: a.Local, Domain: a.Domain})
	}
	return some
}

// indexes are an entry's index strings, each once.
func indexes(r *directory.Record) (all []string) {
	add := func(by, what string) {
		if s := index(by, what); what != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	if r.Primary != (rookery.Address{}) {
		add(byAddress, r.Primary.Key())
	}
	for _, a := range r.Addresses {
		add(byAddress, a.Key())
	}
	for _, l := range r.Logins {
		add(byLogin, l)
	}
	if r.DN != "" {
		add(byDN, directory.NormalDN(r.DN))
	}
	for _, g := range r.Groups {
		add(byGroup, g)
	}
	if r.List != nil {
		all = append(all, lists)
	}
	return all
}

// attributes are what an entry may have, each with its bit. They are only ever
// added to.
var attributes = []struct {
	name  string
	there func(r *directory.Record, l *directory.List) bool
}{
	{"login", func(r *directory.Record, _ *directory.List) bool { return r.Login != "" }},
	{"name", func(r *directory.Record, _ *directory.List) bool { return r.Name != "" }},
	{"addresses", func(r *directory.Record, _ *directory.List) bool { return len(r.Addresses) > 0 }},
	{"quota", func(r *directory.Record, _ *directory.List) bool { return r.Quota != 0 }},
	{"forward", func(r *directory.Record, _ *directory.List) bool { return len(r.Forward) > 0 }},
	{"host", func(r *directory.Record, _ *directory.List) bool { return r.Host != "" }},
	{"logins", func(r *directory.Record, _ *directory.List) bool { return len(r.Logins) > 0 }},
	{"groups", func(r *directory.Record, _ *directory.List) bool { return len(r.Groups) > 0 }},
	{"password change", func(r *directory.Record, _ *directory.List) bool { return r.PasswordChanged != "" }},
	{"being a list", func(r *directory.Record, _ *directory.List) bool { return r.List != nil }},
	{"members", func(_ *directory.Record, l *directory.List) bool {
		return len(l.Members)+len(l.Uids)+len(l.External) > 0
	}},
	{"senders", func(_ *directory.Record, l *directory.List) bool { return len(l.Senders) > 0 }},
	{"moderators", func(_ *directory.Record, l *directory.List) bool { return len(l.Moderators) > 0 }},
	{"members only", func(_ *directory.Record, l *directory.List) bool { return l.MembersOnly }},
	{"inside only", func(_ *directory.Record, l *directory.List) bool { return l.InsideOnly }},
}

// has has a bit for each attribute that an entry has.
func has(r *directory.Record) (bits uint32) {
	l := r.List
	if l == nil {
		l = new(directory.List)
	}
	for i, a := range attributes {
		if a.there(r, l) {
			bits |= 1 << i
		}
	}
	return bits
}

// Lost names the attributes that were there (Coded.Has) and are not any more.
func Lost(had, has uint32) (names []string) {
	for i, a := range attributes {
		if (had&^has)>>i&1 == 1 {
			names = append(names, a.name)
		}
	}
	return names
}
