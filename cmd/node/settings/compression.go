package settings

import "rookery/storage/dictionary"

// What Compression.Dictionaries may say.
const (
	UseSite    = "site"
	UseGeneric = "generic"
	UseNone    = "none"
)

// DefaultCompression is what keys that are left out mean.
func DefaultCompression() Compression {
	return Compression{Dictionaries: UseSite, SharedBy: 5, TrainDays: 7}
}

func (c *Compression) validate(bad report) {
	if c.Dictionaries != UseSite && c.Dictionaries != UseGeneric && c.Dictionaries != UseNone {
		bad("compression.dictionaries", "%q is none of site, generic, none", c.Dictionaries)
	}
	if c.SharedBy < dictionary.MinAccounts || c.SharedBy > 1000 {
		bad("compression.shared_by", "%d is not between %d and 1000", c.SharedBy, dictionary.MinAccounts)
	}
	if c.TrainDays < 1 || c.TrainDays > 365 {
		bad("compression.train_days", "%d is not between 1 and 365", c.TrainDays)
	}
}
