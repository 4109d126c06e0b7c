package rookery

import (
	"slices"
	"strings"
)

// Bounds of an Owner.
const (
	// MaxOwnerAddresses bounds the addresses that are remembered of one.
	MaxOwnerAddresses = 64
	// MaxOwnerName bounds a login and each address, in octets of UTF-8.
	MaxOwnerName = 320
	// MaxOwnerDN bounds a distinguished name, in octets of UTF-8.
	MaxOwnerDN = 1024
)

// Owner is who an account belongs to: what the storage remembers of a
// directory's entry, also when the directory has it no more.
type Owner struct {
	// Key names the entry: see directory.Entry.
	Key string
	// Login is the entry's user name.
	Login string
	// Addresses reach the entry, as Address.Key gives them: the primary one,
	// then the others sorted, each once.
	Addresses []string
	// DN is the entry's distinguished name (RFC 4514); empty where the
	// directory has none, or one that is too long.
	DN string
}

// NewOwner makes an Owner of an entry's addresses, the primary one first. What
// is beyond the bounds is left out.
func NewOwner(key, login, dn string, addresses []Address) Owner {
	o := Owner{Key: key, Login: login}
	if len(dn) <= MaxOwnerDN {
		o.DN = dn
	}
	if len(login) > MaxOwnerName {
		o.Login = strings.ToValidUTF8(login[:MaxOwnerName], "")
	}
	for _, a := range addresses {
		if k := a.Key(); len(k) <= MaxOwnerName && !slices.Contains(o.Addresses, k) {
			o.Addresses = append(o.Addresses, k)
		}
		if len(o.Addresses) == MaxOwnerAddresses {
			break
		}
	}
	if len(o.Addresses) > 1 {
		slices.Sort(o.Addresses[1:])
	}
	return o
}

// Equal reports whether nothing differs. Servers of one directory may differ in
// the case of a DN.
func (o Owner) Equal(p Owner) bool {
	return o.Key == p.Key && o.Login == p.Login && strings.EqualFold(o.DN, p.DN) && slices.Equal(o.Addresses, p.Addresses)
}

// Shared is an address that both have, empty if none.
func (o Owner) Shared(p Owner) string {
	for _, a := range o.Addresses {
		if slices.Contains(p.Addresses, a) {
			return a
		}
	}
	return ""
}
