package settings

import (
	"crypto/rand"
	"encoding/hex"
)

// KeepIDs gives directories that were written without an id the one that
// their name had before.
func (s *Cluster) KeepIDs(old *Cluster) {
	taken := map[string]bool{"": true}
	for _, d := range s.Directories {
		taken[d.ID] = true
	}
	for name, d := range s.Directories {
		if was := old.Directories[name].ID; d.ID == "" && !taken[was] {
			d.ID = was
			s.Directories[name] = d
		}
	}
}

// MakeIDs gives new directories an id.
func (s *Cluster) MakeIDs() {
	for name, d := range s.Directories {
		if d.ID == "" {
			var b [8]byte
			rand.Read(b[:])
			d.ID = hex.EncodeToString(b[:])
			s.Directories[name] = d
		}
	}
}
