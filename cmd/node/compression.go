package node

import (
	"fmt"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/system"
)

// omitDefault leaves the defaults out of the document: binaries from before
// there were dictionaries do not know the keys, and must not meet them before
// the version with dictionaries is final.
func omitDefault(c *settings.Compression, m *system.Machine) error {
	if *c == settings.DefaultCompression() {
		*c = settings.Compression{}
		return nil
	}
	gate, err := m.Gate()
	if err == nil && gate < dictionaryGate {
		err = rookery.E("change settings", rookery.KindUnavailable,
			fmt.Errorf("compression: not every node knows these keys yet; upgrade them, then run rookery upgrade finalize"))
	}
	return err
}
