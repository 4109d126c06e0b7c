package mailbox

import (
	"slices"
	"strings"

	"rookery"
	"rookery/storage/command"
)

// Keywords are case-insensitive (RFC 9051 2.3.2) and keep the spelling of
// their first use. Rows hold positions in the mailbox's list, ascending;
// positions never change.

// checkKeywords refuses what is no keyword.
func checkKeywords(names []string) error {
	if len(names) > command.MaxKeywords {
		return refuse(rookery.KindLimit, "%d keywords, at most %d", len(names), command.MaxKeywords)
	}
	for _, n := range names {
		if !command.ValidKeyword(n) {
			return refuse(rookery.KindInvalid, "%.200q is not a keyword: it must be an atom of at most %d bytes", n, command.MaxKeyword)
		}
	}
	return nil
}

func (x *openBox) keyword(name string) int {
	return slices.IndexFunc(x.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
}

// known gives the positions of those names the mailbox has.
func (x *openBox) known(names []string) []byte {
	var ids []byte
	for _, n := range names {
		if i := x.keyword(n); i >= 0 {
			ids = addKeyword(ids, byte(i))
		}
	}
	return ids
}

// spare refuses where the mailbox cannot take the names it lacks.
func (x *openBox) spare(names []string) error {
	var lacking []string
	for _, n := range names {
		if x.keyword(n) < 0 && !slices.ContainsFunc(lacking, func(l string) bool { return strings.EqualFold(l, n) }) {
			lacking = append(lacking, n)
		}
	}
	if len(x.Keywords)+len(lacking) > command.MaxKeywords {
		return refuse(rookery.KindLimit, "mailbox %q has %d keywords, at most %d", x.Name, len(x.Keywords), command.MaxKeywords)
	}
	return nil
}

// intern gives the positions of all names and adds those the mailbox lacks;
// spare comes before it.
func (x *openBox) intern(names []string) []byte {
	var ids []byte
	for _, n := range names {
		i := x.keyword(n)
		if i < 0 {
			i = len(x.Keywords)
			x.Keywords = append(x.Keywords, n)
			x.meta = true
		}
		ids = addKeyword(ids, byte(i))
	}
	return ids
}

// names gives the keywords at positions.
func (x *box) names(ids []byte) []string {
	if len(ids) == 0 {
		return nil
	}
	names := make([]string, 0, len(ids))
	for _, i := range ids {
		if int(i) < len(x.Keywords) {
			names = append(names, x.Keywords[i])
		}
	}
	return names
}

func addKeyword(ids []byte, id byte) []byte {
	i, found := slices.BinarySearch(ids, id)
	if found {
		return ids
	}
	return slices.Insert(ids, i, id)
}

func union(a, b []byte) []byte {
	out := slices.Clone(a)
	for _, id := range b {
		out = addKeyword(out, id)
	}
	return out
}

func minus(a, b []byte) []byte {
	return slices.DeleteFunc(slices.Clone(a), func(id byte) bool { return slices.Contains(b, id) })
}
