package node

import (
	"fmt"

	"rookery"
	"rookery/storage/dictionary"
	"rookery/storage/system"
)

// What Compression.Dictionaries may say.
const (
	useSite    = "site"
	useGeneric = "generic"
	useNone    = "none"
)

func defaultCompression() Compression {
	return Compression{Dictionaries: useSite, SharedBy: 5, TrainDays: 7}
}

func (c *Compression) validate(bad report) {
	if c.Dictionaries != useSite && c.Dictionaries != useGeneric && c.Dictionaries != useNone {
		bad("compression.dictionaries", "%q is none of site, generic, none", c.Dictionaries)
	}
	if c.SharedBy < dictionary.MinAccounts || c.SharedBy > 1000 {
		bad("compression.shared_by", "%d is not between %d and 1000", c.SharedBy, dictionary.MinAccounts)
	}
	if c.TrainDays < 1 || c.TrainDays > 365 {
		bad("compression.train_days", "%d is not between 1 and 365", c.TrainDays)
	}
}

// omitDefault leaves the defaults out of the document: binaries from before
// there were dictionaries do not know the keys, and must not meet them before
// the version with dictionaries is final.
func (c *Compression) omitDefault(m *system.Machine) error {
	if *c == defaultCompression() {
		*c = Compression{}
		return nil
	}
	gate, err := m.Gate()
	if err == nil && gate < dictionaryGate {
		err = rookery.E("change settings", rookery.KindUnavailable,
			fmt.Errorf("compression: not every node knows these keys yet; upgrade them, then run rookery upgrade finalize"))
	}
	return err
}
